"""`/invocations`: the formats of MLflow's scoring server, which SageMaker's container contract carries, too.

A body is one of `{"dataframe_split": ...}`, `{"dataframe_records": ...}`, `{"instances": ...}`, `{"inputs": ...}`, a
CSV table, or an Arrow stream. The answer is `{"predictions": [...]}` with what MLflow's `predict` gives: the label of
each row, or the value for a regression. With `"params": {"probabilities": true}` it is the probabilities of each row,
in the order of the model's classes; where a body has no place for that, the header X-Amzn-SageMaker-Custom-Attributes
may say `probabilities=true`. The header Accept may ask for a CSV table, a line for each row, or for an Arrow stream.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from everfresh.serving.http import arrow_ipc, health, table_forms
from everfresh.serving.http.codec import Codec
from everfresh.serving.http.csv_tables import CSV, read_csv, write_csv
from everfresh.serving.http.messages import JSON, Request, Response, json_response
from everfresh.serving.http.routes import Route
from everfresh.serving.inference import Inference
from everfresh.serving.questions.question import Question
from everfresh.serving.refusals import Malformed, UnsupportedContent
from everfresh.serving.versions.models import LoadedModel

FORMS = ("dataframe_split", "dataframe_records", "instances", "inputs")
ANSWERS = (JSON, CSV, arrow_ipc.STREAM)
CUSTOM_ATTRIBUTES = "x-amzn-sagemaker-custom-attributes"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What of the answer is wanted, and in which form."""

    probabilities: bool
    kind: str


def read(request: Request, model: LoadedModel) -> Question:
    """The question in a scoring request."""
    kind = request.preferred(ANSWERS)
    if request.content_type == JSON:
        content = request.json()
        wanted = Wanted(_wants_probabilities(content.get("params")) or _attributes_say_so(request), kind)
        return Question(_table(content, model), wants=wanted)
    wanted = Wanted(_attributes_say_so(request), kind)
    if request.content_type == CSV:
        return Question(read_csv(request, model.manifest), wants=wanted)
    if arrow_ipc.is_arrow(request.content_type):
        return Question(arrow_ipc.read_table(request, model.manifest), wants=wanted)
    raise UnsupportedContent(request.content_type, [JSON, CSV, arrow_ipc.STREAM])


def write(inference: Inference) -> Response:
    """The predictions, or the probabilities where they are wanted."""
    wanted: Wanted = inference.wants
    if wanted.kind == arrow_ipc.STREAM:
        return arrow_ipc.write_predictions(inference, probabilities=wanted.probabilities)
    is_value = not inference.model.manifest.classes or wanted.probabilities
    if wanted.kind == CSV:
        return Response(200, write_csv(inference.answer.tolist() if is_value else inference.labels), CSV)
    return json_response({"predictions": inference.answer if is_value else inference.labels})


CODEC = Codec(read, write)


def routes(is_ready: Callable[[], bool]) -> list[Route]:
    """The two paths of a SageMaker container."""
    return [
        Route("POST", "/invocations", "predict", CODEC),
        Route("GET", "/ping", "nothing", lambda request, names: health.ping(is_ready())),
    ]


def _wants_probabilities(params: Any) -> bool:
    if params is None:
        return False
    if not isinstance(params, dict) or not params.keys() <= {"probabilities"}:
        raise Malformed('The only parameter is "probabilities".', field="params")
    wanted = params.get("probabilities", False)
    if not isinstance(wanted, bool):
        raise Malformed('The parameter "probabilities" is true or false.', field="params")
    return wanted


def _attributes_say_so(request: Request) -> bool:
    said: str | None = request.headers.get(CUSTOM_ATTRIBUTES)
    return said == "probabilities=true"


def _table(content: dict[str, Any], model: LoadedModel) -> table_forms.Columns:
    given = [form for form in FORMS if form in content]
    if len(given) != 1 or not content.keys() <= {*FORMS, "params"}:
        raise Malformed(f"The body has one of the keys {', '.join(FORMS)}, and params if need be.")
    form = given[0]
    value = content[form]
    if form == "dataframe_split":
        return table_forms.split(value, form, model.manifest)
    if form == "inputs" and isinstance(value, dict):
        return table_forms.columns(value)
    return table_forms.rows_or_records(value, form, model.manifest)
