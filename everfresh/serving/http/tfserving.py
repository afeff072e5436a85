"""TensorFlow Serving's REST API, without TensorFlow.

A model has the one signature `serving_default`: its columns by name, and the outputs of everfresh/serving/signature.py.
Rows come as `instances` or as columns in `inputs`, and are answered alike; `:classify` and `:regress` take `examples`.
Here, and only here, NaN is read, as a missing value; null is one, too. Text may be `{"b64": ...}`. Every error is
`{"error": ...}`, and what is no path of the API is a malformed request, not an unknown path.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Literal

import numpy as np

from everfresh.packaging.manifest import Manifest
from everfresh.serving import signature
from everfresh.serving.http import table_forms
from everfresh.serving.http.codec import Codec
from everfresh.serving.http.json_bodies import read_json_with_nan
from everfresh.serving.http.messages import JSON, Request, Response, json_response
from everfresh.serving.http.routes import Route
from everfresh.serving.inference import Inference
from everfresh.serving.questions.decoding import check_rows, columns_of_records
from everfresh.serving.questions.question import Question
from everfresh.serving.refusals import BadValue, EmptyBatch, Malformed, Refusal, UnsupportedContent, shortened
from everfresh.serving.versions.models import LoadedModel, ModelTable

PREFIX = "/v1/"
SIGNATURE = "serving_default"
DATATYPES: Mapping[str, str] = {"FP64": "DT_DOUBLE", "INT64": "DT_INT64", "BOOL": "DT_BOOL", "BYTES": "DT_STRING"}
KINDS = frozenset({JSON, "text/plain", "application/x-www-form-urlencoded"})
"""What a body may be said to be: TensorFlow Serving does not look, and its documentation sends JSON by `curl -d`."""

Method = Literal["predict", "classify", "regress"]


class OtherTask(Refusal):
    """A classification asked of a regression, or the other way round."""

    code = "other_task"

    def __init__(self, model: LoadedModel, method: str) -> None:
        task = model.manifest.task
        super().__init__(f"{model.name!r} is a {task} and does not {method}; call :predict, which takes every model.")


class MalformedPath(Refusal):
    """A path or a method that the API does not have. It answers 400, and clients have come to rely on that."""

    code = "malformed_request"

    def __init__(self, method: str, path: str) -> None:
        super().__init__(f"Malformed request: {shortened(method)} {shortened(path)}")


def read_predict(request: Request, model: LoadedModel) -> Question:
    """The question in a `:predict` request; what the answer must know of it is the word that it answers with."""
    content = _content(request, {"instances", "inputs", "signature_name"})
    if ("instances" in content) == ("inputs" in content):
        raise Malformed("The body has one of the keys instances and inputs.")
    if "instances" in content:
        table = _instances(content["instances"], model.manifest)
        return Question(table, wants="predictions")
    return Question(_inputs(content["inputs"], model.manifest), wants="outputs")


def write_predict(inference: Inference) -> Response:
    """The outputs: one by itself, several by name; row by row where the rows came so."""
    outputs = {tensor.name: tensor.values for tensor in signature.answers(inference)}
    if len(outputs) == 1:
        return json_response({inference.wants: next(iter(outputs.values()))})
    if inference.wants == "outputs":
        return json_response({"outputs": outputs})
    columns = [values.tolist() if isinstance(values, np.ndarray) else values for values in outputs.values()]
    return json_response({"predictions": [dict(zip(outputs, row, strict=True)) for row in zip(*columns, strict=True)]})


def read_examples(request: Request, model: LoadedModel, method: Method) -> Question:
    """The question in a `:classify` or `:regress` request."""
    if bool(model.manifest.classes) != (method == "classify"):
        raise OtherTask(model, method)
    content = _content(request, {"examples", "context", "signature_name"})
    examples, context = content.get("examples"), content.get("context", {})
    if not isinstance(examples, list) or not isinstance(context, dict):
        raise Malformed("examples is not a list, or context not an object of features.", field="examples")
    if not examples:
        raise EmptyBatch
    check_rows(len(examples))
    records = [{**context, **example} if isinstance(example, dict) else example for example in examples]
    return Question(_cells(columns_of_records(records), empty_is_missing=True))


def write_classify(inference: Inference) -> Response:
    """Pairs of class and probability for each row, in the order of the model's classes."""
    classes = inference.model.manifest.classes
    rows = inference.answer.tolist()
    return json_response({"results": [[list(pair) for pair in zip(classes, row, strict=True)] for row in rows]})


def write_regress(inference: Inference) -> Response:
    """The value of each row."""
    return json_response({"results": inference.answer})


def refuse(refusal: Refusal, request_id: str) -> Response:
    """A refusal in the shape of TensorFlow Serving, which knows no 405, 415 or 422: those are 400 there."""
    status = 400 if refusal.status in (405, 415, 422) else refusal.status
    return json_response({"error": str(refusal)}, status)


CODECS: Mapping[Method, Codec] = {
    "predict": Codec(read_predict, write_predict),
    "classify": Codec(partial(read_examples, method="classify"), write_classify),
    "regress": Codec(partial(read_examples, method="regress"), write_regress),
}


def routes(models: ModelTable) -> list[Route]:
    """The paths of the API."""
    model = "/v1/models/{name}"
    # A label is an alias here, and a version may be named by one.
    return [
        route
        for path in (model, f"{model}/versions/{{version}}", f"{model}/labels/{{version}}")
        for route in (
            Route("GET", path, "describe", lambda request, names: _status(models, names)),
            Route("GET", f"{path}/metadata", "describe", lambda request, names: _metadata(models, names)),
            *(Route("POST", f"{path}:{method}", "predict", codec) for method, codec in CODECS.items()),
        )
    ]


def _status(models: ModelTable, names: Mapping[str, str]) -> Response:
    served = models.served(names["name"])
    versions = [served.named(names["version"]).version] if "version" in names else sorted(served.versions, reverse=True)
    status = {"error_code": "OK", "error_message": ""}
    told = [{"version": str(version), "state": "AVAILABLE", "status": status} for version in versions]
    return json_response({"model_version_status": told})


def _metadata(models: ModelTable, names: Mapping[str, str]) -> Response:
    model = models.find(names["name"], names.get("version"))
    own = {
        "inputs": _described(signature.inputs(model.manifest)),
        "outputs": _described(signature.outputs(model.manifest)),
        "method_name": "tensorflow/serving/predict",
    }
    return json_response(
        {
            "model_spec": {"name": model.name, "signature_name": "", "version": str(model.version)},
            "metadata": {"signature_def": {"signature_def": {SIGNATURE: own}}},
        }
    )


def _described(specs: Sequence[signature.TensorSpec]) -> dict[str, Any]:
    return {
        spec.name: {
            "dtype": DATATYPES[spec.datatype],
            "tensor_shape": {
                "dim": [{"size": str(size), "name": ""} for size in spec.shape],
                "unknown_rank": False,
            },
            "name": f"{spec.name}:0",
        }
        for spec in specs
    }


def _content(request: Request, known: set[str]) -> dict[str, Any]:
    if request.content_type not in KINDS:
        raise UnsupportedContent(request.content_type, [JSON])
    content = read_json_with_nan(request.body)
    if not isinstance(content, dict):
        raise Malformed("The body is not a JSON object.")
    if not content.keys() <= known:
        raise Malformed(f"The body has the keys {', '.join(sorted(known))} and no others.")
    name = content.get("signature_name", "")
    if name not in ("", SIGNATURE):
        said = shortened(name) if isinstance(name, str) else "of another kind"
        raise Malformed(f"There is no signature {said!r}; a model has {SIGNATURE!r}.", field="signature_name")
    return content


def _instances(value: Any, manifest: Manifest) -> table_forms.Columns:
    if not isinstance(value, list):
        raise Malformed("instances is not a list.", field="instances")
    if not value:
        raise EmptyBatch
    check_rows(len(value))
    if isinstance(value[0], dict) and not _is_bytes(value[0]):
        return _cells(columns_of_records(value))
    return _cells({_only_column(manifest, "instances"): value})


def _inputs(value: Any, manifest: Manifest) -> table_forms.Columns:
    if not isinstance(value, dict) or _is_bytes(value):
        value = {_only_column(manifest, "inputs"): value}
    return _cells(table_forms.columns(value))


def _only_column(manifest: Manifest, key: str) -> str:
    """The column of a model that has one, whose name need not be said."""
    if len(manifest.columns) != 1:
        names = ", ".join(table_forms.column_names(manifest))
        raise Malformed(f"{key} must name the columns, for the model has several: {names}.", field=key)
    return manifest.columns[0].name


def _is_bytes(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() == {"b64"} and isinstance(value["b64"], str)


def _cells(columns: table_forms.Columns, *, empty_is_missing: bool = False) -> table_forms.Columns:
    """The columns with each value taken out of a list of one, and out of base 64."""
    for name, values in columns.items():
        if not set(map(type, values)).isdisjoint({list, dict}):
            columns[name] = [_cell(name, row, value, empty_is_missing) for row, value in enumerate(values)]
    return columns


def _cell(name: str, row: int, value: Any, empty_is_missing: bool) -> Any:
    if isinstance(value, list):
        if not value and empty_is_missing:
            return None
        if len(value) != 1:
            raise BadValue(shortened(name), row, value, "one value")
        value = value[0]
    if not _is_bytes(value):
        return value
    try:
        return base64.b64decode(value["b64"], validate=True).decode()
    except (binascii.Error, ValueError):
        raise BadValue(shortened(name), row, value["b64"], "base 64 of text in UTF-8") from None
