"""Azure ML's scoring contract: POST `/score`, GET `/`, and the headers by which Azure follows a request.

A body is `{"input_data": ...}` as Azure's own deployments of MLflow models take it, or `{"data": ...}` as its example
scripts do; both are answered with a bare list. `{"Inputs": {"data": ...}, "GlobalParameters": {"method":
"predict_proba"}}`, which is what AutoML's scripts take, is answered with `{"Results": [...]}`. Each holds the
orientation "split" of pandas, columns, records, or rows in the model's order. An Arrow stream is taken, too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from everfresh.packaging.manifest import Manifest
from everfresh.serving.http import arrow_ipc, table_forms
from everfresh.serving.http.codec import Codec
from everfresh.serving.http.messages import Headers, Request, Response, json_response
from everfresh.serving.http.routes import Route
from everfresh.serving.inference import Inference
from everfresh.serving.questions.question import Question
from everfresh.serving.refusals import BadHeader, Malformed, Refusal
from everfresh.serving.versions.models import LoadedModel

FORMS = ("input_data", "data", "Inputs")
METHODS = ("predict", "predict_proba")
REQUEST_ID, CLIENT_REQUEST_ID = "x-ms-request-id", "x-ms-client-request-id"

_LONGEST_ID = 100


@dataclass(frozen=True, slots=True)
class Wanted:
    """How the answer is wanted: probabilities or labels, in `Results` or bare, under which ids."""

    probabilities: bool
    in_results: bool
    ids: dict[str, str]


def read(request: Request, model: LoadedModel) -> Question:
    """The question in a scoring request."""
    ids = ids_of(request.headers)
    if arrow_ipc.is_arrow(request.content_type):
        wanted = Wanted(probabilities=False, in_results=False, ids=ids)
        return Question(arrow_ipc.read_table(request, model.manifest), wants=wanted)
    content = request.json()
    given = [form for form in FORMS if form in content]
    if len(given) != 1 or not content.keys() <= {*FORMS, "params", "GlobalParameters"}:
        raise Malformed(f"The body has one of the keys {', '.join(FORMS)}, and params or GlobalParameters if need be.")
    form = given[0]
    value = _the_input(content[form]) if form == "Inputs" else content[form]
    probabilities = _wants_probabilities(content.get("params"), content.get("GlobalParameters"))
    wanted = Wanted(probabilities, form == "Inputs", ids)
    return Question(_table(value, form, model.manifest), wants=wanted)


def write(inference: Inference) -> Response:
    """The labels, the values, or the probabilities of each row."""
    wanted: Wanted = inference.wants
    is_value = not inference.model.manifest.classes or wanted.probabilities
    rows = inference.answer if is_value else inference.labels
    headers = {REQUEST_ID: inference.request_id, "x-ms-run-function-failed": "False", **wanted.ids}
    return json_response({"Results": rows} if wanted.in_results else rows, 200, headers)


def refuse(refusal: Refusal, request_id: str) -> Response:
    """A refusal in the shape of Azure's own server, with what programs look at beside it."""
    content = {"message": str(refusal), "error": str(refusal), "code": refusal.code, "request_id": request_id}
    return json_response(content, refusal.status, {REQUEST_ID: request_id})


CODEC = Codec(read, write)


PATHS = frozenset({"/score"})


def routes(is_ready: Callable[[], bool]) -> list[Route]:
    """The paths that Azure ML knows; the third one, `/swagger.json`, is where the other descriptions are."""
    return [
        Route("POST", "/score", "predict", CODEC),
        Route("GET", "/", "nothing", lambda request, names: healthy(is_ready())),
    ]


def healthy(is_ready: bool) -> Response:
    """What Azure's probes ask; Azure's own server listens only once it is ready."""
    return Response(200, b"Healthy", "text/plain") if is_ready else Response(503, b"Not ready", "text/plain")


def ids_of(headers: Headers) -> dict[str, str]:
    """The ids that the answer repeats. The older header stands for both, where the newer one is not there.

    Raises:
        BadHeader: one is not fit for a log line.
    """
    older, newer = headers.get(REQUEST_ID), headers.get(CLIENT_REQUEST_ID)
    for name, value in ((REQUEST_ID, older), (CLIENT_REQUEST_ID, newer)):
        if value and not (len(value) <= _LONGEST_ID and value.isascii() and value.isprintable()):
            raise BadHeader(name, value, f"an id of at most {_LONGEST_ID} characters")
    ids = {REQUEST_ID: older or newer, CLIENT_REQUEST_ID: newer or older}
    return {name: value for name, value in ids.items() if value}


def _the_input(value: Any) -> Any:
    """The one input of AutoML's form, whatever it is called; the designer calls it WebServiceInput0."""
    if not isinstance(value, dict) or len(value) != 1:
        raise Malformed('Inputs is not an object of one input, such as "data".', field="Inputs")
    return next(iter(value.values()))


def _table(value: Any, form: str, manifest: Manifest) -> table_forms.Columns:
    if not isinstance(value, dict):
        return table_forms.rows_or_records(value, form, manifest)
    if "data" in value and value.keys() <= {"columns", "index", "data"}:
        return table_forms.split(value, form, manifest)
    return table_forms.columns(value)


def _wants_probabilities(params: Any, global_parameters: Any) -> bool:
    if params is not None:
        if not isinstance(params, dict) or not params.keys() <= {"probabilities"}:
            raise Malformed('The only parameter is "probabilities".', field="params")
        if not isinstance(params.get("probabilities", False), bool):
            raise Malformed('The parameter "probabilities" is true or false.', field="params")
        if params.get("probabilities"):
            return True
    if not isinstance(global_parameters, dict):
        # AutoML's own samples send 1.0 there, which says nothing.
        return False
    method = global_parameters.get("method", METHODS[0])
    if method not in METHODS or not global_parameters.keys() <= {"method"}:
        raise Malformed(f'GlobalParameters has a "method", {" or ".join(METHODS)}.', field="GlobalParameters")
    return bool(method == "predict_proba")
