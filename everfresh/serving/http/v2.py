"""The Open Inference Protocol V2 over HTTP, with tensors in JSON, as bytes behind it, or as one Arrow stream.

Every column is a tensor of the shape [rows] or [rows, 1] under its own name. A missing value is null, which
the protocol does not forbid and no other server understands; how bytes say it is told in
`everfresh.serving.questions.tensors`. A time is text (ISO 8601) or seconds since 1970. A classifier answers with
`probabilities` [rows, classes] and `label` [rows], a regression with `value` [rows]. Where the request does not name
its rows, `id` [rows] comes as well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import everfresh
from everfresh.serving import signature
from everfresh.serving.http import arrow_ipc, health
from everfresh.serving.http.codec import Codec
from everfresh.serving.http.json_bodies import read_json
from everfresh.serving.http.messages import JSON, Request, Response, json_response
from everfresh.serving.http.routes import Route
from everfresh.serving.http.v2_binary import (
    EXTENSION,
    NO_HEADER,
    binary_response,
    bytes_of_inputs,
    is_binary,
    split_body,
)
from everfresh.serving.inference import Inference
from everfresh.serving.questions.question import Question
from everfresh.serving.questions.tensors import DTYPES, read_raw
from everfresh.serving.refusals import Malformed, shortened
from everfresh.serving.versions.models import LoadedModel, ModelTable, ServedModel

_KNOWN_DATATYPES = frozenset({*DTYPES, "BF16", "BYTES"})
_LONGEST_ID = 128
_LONGEST_TIMEOUT_US = 10**12


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which outputs the request asks for, and how.

    Attributes:
        names: the outputs; None for all of them.
        binary: which of the named ones are wanted as bytes.
        is_binary: whether those that are not named are.
    """

    names: tuple[str, ...] | None = None
    binary: frozenset[str] = frozenset()
    is_binary: bool = False


@dataclass(frozen=True, slots=True)
class Parameters:
    """What a request says beside its rows.

    Attributes:
        is_traffic: whether its rows belong into the inference log: with `{"record": false}` it is about the server.
        missing: the text that stands for a missing one.
        is_binary: whether outputs are wanted as bytes where nothing else is said of them.
        timeout_s: how long the asker will wait.
    """

    is_traffic: bool = True
    missing: str | None = None
    is_binary: bool = False
    timeout_s: float | None = None


NO_PARAMETERS = Parameters()


def server_metadata() -> Response:
    """What this server is."""
    return json_response({"name": "everfresh", "version": everfresh.__version__, "extensions": [EXTENSION]})


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
            "inputs": _described(signature.inputs(manifest)),
            "outputs": _described(signature.outputs(manifest)),
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
    wants_arrow = request.preferred((JSON, arrow_ipc.STREAM)) == arrow_ipc.STREAM
    if arrow_ipc.is_arrow(request.content_type):
        table = arrow_ipc.read_table(request, model.manifest)
        return Question(table, wants=arrow_ipc.ARROW if wants_arrow else None)
    text, data = split_body(request)
    content = read_json(text)
    if not isinstance(content, dict):
        raise Malformed("The body is not a JSON object.")
    tensors = content.get("inputs")
    if not isinstance(tensors, list):
        raise Malformed('The request has no list "inputs".', field="inputs")
    said = _parameters(content.get("parameters"))
    if data is None:
        table = (_plain_columns(tensors) if said.missing is None else None) or dict(
            _column(position, tensor, said.missing) for position, tensor in enumerate(tensors)
        )
    else:
        pairs = enumerate(zip(tensors, bytes_of_inputs(tensors, data), strict=True))
        table = dict(
            _column(position, tensor, said.missing)
            if part is None
            else _bytes_column(position, tensor, part, said.missing)
            for position, (tensor, part) in pairs
        )
    if len(table) != len(tensors):
        raise Malformed("A tensor is there twice.", field="inputs")
    wanted = _wanted(content.get("outputs"), model, otherwise=said.is_binary)
    wants = arrow_ipc.ARROW if wants_arrow else wanted
    return Question(table, _request_id(content.get("id")), said.is_traffic, said.timeout_s, wants)


def write(inference: Inference) -> Response:
    """The answer as V2 output tensors, or as one Arrow stream of the same columns."""
    if inference.wants is arrow_ipc.ARROW:
        return arrow_ipc.write_answer(inference)
    outputs = _outputs(inference)
    content = {
        "model_name": inference.model.name,
        "model_version": str(inference.model.version),
        "id": inference.request_id,
    }
    wanted: Wanted | None = inference.wants
    if wanted is None:
        return json_response({**content, "outputs": outputs})
    if wanted.names is not None:
        by_name = {output["name"]: output for output in outputs}
        outputs = [by_name[name] for name in wanted.names if name in by_name]
        binary = [output["name"] in wanted.binary for output in outputs]
    else:
        binary = [wanted.is_binary] * len(outputs)
    if any(binary):
        return binary_response(content, outputs, binary)
    return json_response({**content, "outputs": outputs})


CODEC = Codec(read, write)


def routes(models: ModelTable, is_ready: Callable[[], bool]) -> list[Route]:
    """The paths of the protocol."""
    model = "/v2/models/{name}"
    return [
        Route("GET", "/v2", "describe", lambda request, names: server_metadata()),
        Route("GET", "/v2/health/live", "nothing", lambda request, names: health.live()),
        Route("GET", "/v2/health/ready", "nothing", lambda request, names: health.ready(is_ready())),
        Route("GET", "/v2/models", "describe", lambda request, names: list_models(models)),
        *(
            route
            for path in (model, f"{model}/versions/{{version}}")
            for route in (
                Route("GET", path, "describe", lambda request, names: _metadata(models, names)),
                Route("GET", f"{path}/ready", "describe", lambda request, names: _ready(models, names)),
                Route("POST", f"{path}/infer", "predict", CODEC),
            )
        ),
    ]


def _metadata(models: ModelTable, names: Mapping[str, str]) -> Response:
    return model_metadata(models.served(names["name"]), names.get("version"))


def _ready(models: ModelTable, names: Mapping[str, str]) -> Response:
    return health.ready(bool(models.find(names["name"], names.get("version"))))


def _parameters(given: Any) -> Parameters:
    """What the request says beside its rows; what only concerns other servers, such as a priority, is ignored."""
    if given is None:
        return NO_PARAMETERS
    if not isinstance(given, dict):
        raise Malformed('"parameters" is not an object.', field="parameters")
    record, missing, binary = given.get("record", True), given.get("missing"), given.get("binary_data_output", False)
    if not isinstance(record, bool) or not isinstance(binary, bool) or not isinstance(missing, str | None):
        said = '"record" and "binary_data_output" are true or false, and "missing" is text.'
        raise Malformed(f"Of the parameters, {said}", field="parameters")
    timeout = given.get("timeout")
    if timeout is not None and not (type(timeout) is int and 0 <= timeout <= _LONGEST_TIMEOUT_US):
        raise Malformed('The parameter "timeout" is no number of microseconds.', field="parameters")
    return Parameters(record, missing, binary, timeout / 1e6 if timeout else None)


def _request_id(given: Any) -> str | None:
    """What the request calls itself, if it does; the id goes into the log, row by row."""
    if given is None or given == "":
        return None
    if not isinstance(given, str) or len(given) > _LONGEST_ID or not given.isprintable():
        raise Malformed(f"The id of a request is text of at most {_LONGEST_ID} characters.", field="id")
    return given


def _plain_columns(tensors: list[Any]) -> dict[str, Any] | None:
    """The columns of tensors that are as nearly all are; None where one of them needs a closer look."""
    table = {}
    try:
        for tensor in tensors:
            name, data, shape = tensor["name"], tensor["data"], tensor.get("shape")
            if type(name) is not str or type(data) is not list or (shape is not None and shape != [len(data)]):
                return None
            if (data and type(data[0]) is list) or tensor.get("datatype", "FP64") not in _KNOWN_DATATYPES:
                return None
            table[name] = data
    except (KeyError, TypeError, AttributeError):
        return None
    return table


def _column(position: int, tensor: Any, missing: str | None) -> tuple[str, Any]:
    """The name and the values of an input tensor whose values stand in the JSON."""
    name = _checked_name(position, tensor)
    shape, data = tensor.get("shape"), tensor.get("data")
    if not isinstance(data, list):
        raise _malformed_input(name, NO_HEADER if is_binary(tensor) else "has no list of data.")
    if data and isinstance(data[0], list):
        if not all(isinstance(row, list) and len(row) == 1 for row in data):
            raise _malformed_input(name, "must have one value in each row.")
        data = [row[0] for row in data]
    if shape is not None and shape != [len(data)] and shape != [len(data), 1]:
        raise _malformed_input(name, f"has {len(data)} values, and another shape.")
    return name, data if missing is None else [None if value == missing else value for value in data]


def _bytes_column(position: int, tensor: Any, part: memoryview, missing: str | None) -> tuple[str, Any]:
    """The name and the values of an input tensor whose values stand behind the JSON."""
    name, shape, datatype = _checked_name(position, tensor), tensor.get("shape"), tensor.get("datatype")
    if tensor.get("data") is not None or datatype is None or not isinstance(shape, list):
        raise _malformed_input(name, "is binary, and so has a datatype, a shape, and no data.")
    return name, read_raw(name, datatype, shape, part, missing)


def _checked_name(position: int, tensor: Any) -> str:
    if not isinstance(tensor, dict) or not isinstance(name := tensor.get("name"), str):
        raise Malformed(f"Input {position} is not a tensor with a name.", field="inputs")
    datatype = tensor.get("datatype")
    if datatype is not None and not (isinstance(datatype, str) and datatype in _KNOWN_DATATYPES):
        raise _malformed_input(name, "has a datatype that V2 does not know.")
    return name


def _malformed_input(name: str, said: str) -> Malformed:
    return Malformed(f"Input {shortened(name)!r} {said}", field=shortened(name))


def _outputs(inference: Inference) -> list[dict[str, Any]]:
    """The outputs in the order of the model's, and the ids of the rows where the request did not name them."""
    tensors = signature.answers(inference)
    if inference.row_ids is None:
        tensors.append(signature.row_ids(inference))
    return [
        {
            "name": tensor.name,
            "datatype": tensor.datatype,
            "shape": tensor.shape,
            "data": tensor.values.reshape(-1) if isinstance(tensor.values, np.ndarray) else tensor.values,
        }
        for tensor in tensors
    ]


def _wanted(wanted: Any, model: LoadedModel, *, otherwise: bool) -> Wanted | None:
    """Which outputs the request asks for; None for all of them in JSON."""
    if wanted is None or wanted == []:
        return Wanted(is_binary=True) if otherwise else None
    if not isinstance(wanted, list):
        raise Malformed('"outputs" is not a list.', field="outputs")
    known = [*(spec.name for spec in signature.outputs(model.manifest)), "id"]
    names: list[Any] = [output.get("name") if isinstance(output, dict) else None for output in wanted]
    if not all(name in known for name in names) or len(set(names)) != len(names):
        raise Malformed(f"Outputs are {', '.join(known)}; the request asks for another, or twice.", field="outputs")
    binary = [_wants_bytes(output.get("parameters"), otherwise) for output in wanted]
    return Wanted(tuple(names), frozenset(name for name, chosen in zip(names, binary, strict=True) if chosen))


def _wants_bytes(parameters: Any, otherwise: bool) -> bool:
    """Whether one output is wanted as bytes. What else may be asked of it would change it, and so is refused."""
    if parameters is None:
        return otherwise
    if not isinstance(parameters, dict) or not isinstance(parameters.get("binary_data", otherwise), bool):
        raise Malformed('The "binary_data" of an output is true or false.', field="outputs")
    if beside := parameters.keys() & {"classification", "shared_memory_region"}:
        raise Malformed(f"Outputs cannot be asked for with {' and '.join(sorted(beside))} here.", field="outputs")
    return bool(parameters.get("binary_data", otherwise))


def _described(specs: Sequence[signature.TensorSpec]) -> list[dict[str, Any]]:
    return [{"name": spec.name, "datatype": spec.datatype, "shape": spec.shape} for spec in specs]
