"""The Open Inference Protocol V2 over HTTP with JSON tensors.

Every column is a tensor of the shape [rows] or [rows, 1] under its own name. A missing value is null, which
the protocol does not forbid and no other server understands. A time is text (ISO 8601) or seconds since 1970. A
classifier answers with `probabilities` [rows, classes] and `label` [rows], a regression with `value` [rows]. Where
the request does not name its rows, `id` [rows] comes as well. A client that asks for binary outputs gets JSON, as
from any server without that extension; binary inputs are refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import everfresh
from everfresh.data.columns import Column
from everfresh.serving.http import health
from everfresh.serving.http.codec import Codec
from everfresh.serving.http.messages import Request, Response, json_response
from everfresh.serving.http.routes import Route
from everfresh.serving.inference import Inference, Question
from everfresh.serving.models import LoadedModel, ModelTable, ServedModel
from everfresh.serving.refusals import BinaryTensors, Malformed

_DATATYPES = {"float": "FP64", "integer": "INT64", "boolean": "BOOL", "category": "BYTES", "datetime": "BYTES"}
_LONGEST_ID = 128


def server_metadata() -> Response:
    """What this server is."""
    return json_response({"name": "everfresh", "version": everfresh.__version__, "extensions": []})


def list_models(models: ModelTable) -> Response:
    """The models and the version of each."""
    versions = sorted(models.versions().items())
    return json_response({"models": [{"name": name, "version": str(version)} for name, version in versions]})


def model_metadata(served: ServedModel, version: str | None) -> Response:
    """What a version reads and answers; what V2 has no word for stands in `parameters`."""
    model = served.default if version is None else served.named(version)
    manifest = model.manifest
    return json_response(
        {
            "name": model.name,
            # The version that this is about comes first.
            "versions": [
                str(model.version),
                *(str(other) for other in sorted(served.versions) if other != model.version),
            ],
            "platform": "onnxruntime_onnx" if model.scorer.path == "onnx" else "sklearn",
            "inputs": [_input(column) for column in manifest.columns],
            "outputs": _outputs(model),
            "parameters": {
                "version": model.version,
                "aliases": dict(served.aliases),
                "traffic": {str(number): share for number, share in served.split.shares.items()},
                "shadow": served.shadow.version if served.shadow is not None else None,
                "task": manifest.task,
                "classes": list(manifest.classes),
                "id_column": manifest.id_column,
                "time_column": manifest.time_column,
                "label": manifest.label,
                "path": manifest.path,
                "path_reason": manifest.path_reason,
                "digest": manifest.digest,
                "created_at": manifest.created_at.isoformat(),
                "trained_through": manifest.trained_through.isoformat() if manifest.trained_through else None,
            },
        }
    )


def read(request: Request, model: LoadedModel) -> Question:
    """The question in a V2 inference request."""
    if request.headers.get("inference-header-content-length") is not None:
        raise BinaryTensors
    content = request.json()
    tensors = content.get("inputs")
    if not isinstance(tensors, list):
        raise Malformed('The request has no list "inputs".', field="inputs")
    table = dict(_column(position, tensor) for position, tensor in enumerate(tensors))
    if len(table) != len(tensors):
        raise Malformed("A tensor is there twice.", field="inputs")
    wanted = _wanted(content.get("outputs"), model)
    return Question(table, _request_id(content.get("id")), _is_traffic(content.get("parameters")), wants=wanted)


def write(inference: Inference) -> Response:
    """The answer as V2 output tensors."""
    outputs = _answers(inference)
    if inference.wants:
        by_name = {output["name"]: output for output in outputs}
        outputs = [by_name[name] for name in inference.wants if name in by_name]
    return json_response(
        {
            "model_name": inference.model.name,
            "model_version": str(inference.model.version),
            "id": inference.request_id,
            "outputs": outputs,
        }
    )


CODEC = Codec(read, write)


def routes(models: ModelTable, is_ready: Callable[[], bool]) -> list[Route]:
    """The paths of the protocol."""
    model = "/v2/models/{name}"
    return [
        Route("GET", "/v2", "read", lambda request, names: server_metadata()),
        Route("GET", "/v2/health/live", "nothing", lambda request, names: health.live()),
        Route("GET", "/v2/health/ready", "nothing", lambda request, names: health.ready(is_ready())),
        Route("GET", "/v2/models", "read", lambda request, names: list_models(models)),
        *(
            route
            for path in (model, f"{model}/versions/{{version}}")
            for route in (
                Route("GET", path, "read", lambda request, names: _metadata(models, names)),
                Route("GET", f"{path}/ready", "read", lambda request, names: _ready(models, names)),
                Route("POST", f"{path}/infer", "predict", CODEC),
            )
        ),
    ]


def _metadata(models: ModelTable, names: Mapping[str, str]) -> Response:
    return model_metadata(models.served(names["name"]), names.get("version"))


def _ready(models: ModelTable, names: Mapping[str, str]) -> Response:
    return health.ready(bool(models.find(names["name"], names.get("version"))))


def _is_traffic(parameters: Any) -> bool:
    """Whether the rows belong into the inference log: with `{"record": false}` a request is about the server itself."""
    if parameters is None:
        return True
    if not isinstance(parameters, dict) or not isinstance(parameters.get("record", True), bool):
        raise Malformed('"parameters" is an object, and its "record" is true or false.', field="parameters")
    return bool(parameters.get("record", True))


def _request_id(given: Any) -> str | None:
    """What the request calls itself, if it does; the id goes into the log, row by row."""
    if given is None or given == "":
        return None
    if not isinstance(given, str) or len(given) > _LONGEST_ID or not given.isprintable():
        raise Malformed(f"The id of a request is text of at most {_LONGEST_ID} characters.", field="id")
    return given


def _column(position: int, tensor: Any) -> tuple[str, Sequence[Any]]:
    """The name and the values of an input tensor."""
    if not isinstance(tensor, dict) or not isinstance(tensor.get("name"), str):
        raise Malformed(f"Input {position} is not a tensor with a name.", field="inputs")
    name, shape, data = tensor["name"], tensor.get("shape"), tensor.get("data")
    if data is None and isinstance(tensor.get("parameters"), dict) and "binary_data_size" in tensor["parameters"]:
        raise BinaryTensors
    if not isinstance(data, list):
        raise Malformed(f"Input {name[:80]!r} has no list of data.", field=name[:80])
    if data and isinstance(data[0], list):
        if not all(isinstance(row, list) and len(row) == 1 for row in data):
            raise Malformed(f"Input {name[:80]!r} must have one value in each row.", field=name[:80])
        data = [row[0] for row in data]
    if shape is not None and shape not in ([len(data)], [len(data), 1]):
        raise Malformed(f"Input {name[:80]!r} has {len(data)} values, and another shape.", field=name[:80])
    return name, data


def _answers(inference: Inference) -> list[dict[str, Any]]:
    rows = inference.rows
    if inference.model.manifest.classes:
        outputs = [
            _tensor("probabilities", "FP64", list(inference.answer.shape), inference.answer.reshape(-1)),
            _tensor("label", "BYTES", [rows], inference.labels),
        ]
    else:
        outputs = [_tensor("value", "FP64", [rows], inference.answer)]
    if inference.row_ids is None:
        outputs.append(_tensor("id", "BYTES", [rows], list(inference.ids)))
    return outputs


def _wanted(wanted: Any, model: LoadedModel) -> tuple[str, ...]:
    """The names of the outputs that the request asks for; empty for all of them."""
    if not wanted:
        return ()
    known = [*(output["name"] for output in _outputs(model)), "id"]
    names = [output.get("name") if isinstance(output, dict) else None for output in _listed(wanted)]
    if not all(name in known for name in names):
        raise Malformed(f"Outputs are {', '.join(known)}; the request asks for another.", field="outputs")
    return tuple(map(str, names))


def _listed(wanted: Any) -> list[Any]:
    if not isinstance(wanted, list):
        raise Malformed('"outputs" is not a list.', field="outputs")
    return wanted


def _tensor(name: str, datatype: str, shape: list[int], data: Any) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape, "data": data}


def _input(column: Column) -> dict[str, Any]:
    return {"name": column.name, "datatype": _DATATYPES[column.dtype], "shape": [-1]}


def _outputs(model: LoadedModel) -> list[dict[str, Any]]:
    classes = model.manifest.classes
    if not classes:
        return [{"name": "value", "datatype": "FP64", "shape": [-1]}]
    return [
        {"name": "probabilities", "datatype": "FP64", "shape": [-1, len(classes)]},
        {"name": "label", "datatype": "BYTES", "shape": [-1]},
    ]
