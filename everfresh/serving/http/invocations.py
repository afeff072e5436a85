"""`/invocations`: the formats of MLflow's scoring server, which SageMaker's container contract carries, too.

A body is one of `{"dataframe_split": ...}`, `{"dataframe_records": ...}`, `{"instances": ...}`, `{"inputs": ...}`, or a
CSV table with a header. The answer is `{"predictions": [...]}` with what MLflow's `predict` gives: the label of
each row, or the value for a regression. With `"params": {"probabilities": true}` it is the probabilities of each row,
in the order of the model's classes.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from typing import Any

from everfresh.data.columns import Column
from everfresh.serving.decoding import columns_of_records, columns_of_rows
from everfresh.serving.http import health
from everfresh.serving.http.codec import Codec
from everfresh.serving.http.messages import JSON, Request, Response, json_response
from everfresh.serving.http.routes import Route
from everfresh.serving.inference import Inference, Question
from everfresh.serving.models import LoadedModel
from everfresh.serving.refusals import BadEncoding, BadRows, EmptyBatch, Malformed, UnsupportedContent

CSV = "text/csv"
FORMS = ("dataframe_split", "dataframe_records", "instances", "inputs")

Table = dict[str, Sequence[Any]]


def read(request: Request, model: LoadedModel) -> Question:
    """The question in a scoring request."""
    if request.content_type == CSV:
        return Question(_csv(request.body, model), wants=False)
    if request.content_type == JSON:
        content = request.json()
        return Question(_table(content, model), wants=_wants_probabilities(content))
    raise UnsupportedContent(request.content_type, [JSON, CSV])


def write(inference: Inference) -> Response:
    """The predictions, or with `wants` the probabilities."""
    is_value = not inference.model.manifest.classes or inference.wants
    return json_response({"predictions": inference.answer if is_value else inference.labels})


CODEC = Codec(read, write)


def routes(is_ready: Callable[[], bool]) -> list[Route]:
    """The two paths of a SageMaker container."""
    return [
        Route("POST", "/invocations", "predict", CODEC),
        Route("GET", "/ping", "nothing", lambda request, names: health.ping(is_ready())),
    ]


def _wants_probabilities(content: dict[str, Any]) -> bool:
    params = content.get("params") or {}
    if not isinstance(params, dict) or not params.keys() <= {"probabilities"}:
        raise Malformed('The only parameter is "probabilities".', field="params")
    return bool(params.get("probabilities"))


def _table(content: dict[str, Any], model: LoadedModel) -> Table:
    given = [form for form in FORMS if form in content]
    if len(given) != 1 or not content.keys() <= {*FORMS, "params"}:
        raise Malformed(f"The body has one of the keys {', '.join(FORMS)}, and params if need be.")
    form = given[0]
    value = content[form]
    if form == "dataframe_split":
        return _split(value)
    if form == "inputs" and isinstance(value, dict):
        return _columns(value)
    if not isinstance(value, list):
        raise Malformed(f"{form} is not a list of rows.", field=form)
    if value and isinstance(value[0], list):
        return columns_of_rows([column.name for column in model.manifest.columns], value)
    if not value:
        raise EmptyBatch
    return columns_of_records(value)


def _split(value: Any) -> Table:
    """Pandas' orientation "split"; an index is allowed and says nothing."""
    if (
        not isinstance(value, dict)
        or not {"columns", "data"} <= value.keys() <= {"columns", "data", "index"}
        or not isinstance(value["columns"], list)
        or not isinstance(value["data"], list)
    ):
        raise Malformed('dataframe_split is not an object of "columns" and "data".', field="dataframe_split")
    return columns_of_rows(value["columns"], value["data"])


def _columns(value: dict[str, Any]) -> Table:
    """Columns by name; one that holds a single value is a single row."""
    return {name: values if isinstance(values, list) else [values] for name, values in value.items()}


def _csv(body: bytes, model: LoadedModel) -> Table:
    """A table with a header, with Excel's mark before it or without; an empty field is a missing value."""
    try:
        lines = list(csv.reader(io.StringIO(body.decode("utf-8-sig")), strict=True))
    except UnicodeDecodeError:
        raise BadEncoding from None
    except csv.Error as error:
        raise Malformed(f"The body is not CSV: {error}.") from None
    if not lines:
        raise EmptyBatch
    header, *rows = lines
    table = columns_of_rows(header, [row for row in rows if row])
    by_name = {column.name: column for column in model.manifest.columns}
    return {name: [_field(by_name.get(name), row, text) for row, text in enumerate(v)] for name, v in table.items()}


def _field(column: Column | None, row: int, text: str) -> Any:
    if text == "":
        return None
    if column is None or column.is_category:
        return text
    if column.dtype == "boolean" and text in ("True", "true", "False", "false"):
        return text in ("True", "true")
    try:
        number = float(text)
    except ValueError:
        number = float("inf")
    if number - number != 0:  # NaN and infinity, too: a missing value is an empty field
        if column.dtype == "datetime":
            return text
        raise BadRows(f"Column {column.name!r}, row {row}: {text[:80]!r} is not a number.", field=column.name)
    return number
