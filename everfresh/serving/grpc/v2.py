"""The Open Inference Protocol V2 over gRPC.

Tensors, outputs and what is missing are as in serving/questions/tensors.py and serving/signature.py. A request brings
its tensors raw or typed, and is answered alike; one that brings none is answered raw. Three parameters are known:
`record` (false: the rows stay out of the inference log), `missing` (the text that stands for a missing one) and
`timeout` (microseconds, as in Triton).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

import everfresh
from everfresh.serving import signature
from everfresh.serving.grpc.messages import Message, message
from everfresh.serving.grpc.methods import Addressee, Codec, Method, StreamCodec
from everfresh.serving.inference import Inference
from everfresh.serving.questions.question import Question
from everfresh.serving.questions.tensors import count_rows, dtype_of, numbers, read_raw, texts, write_raw
from everfresh.serving.refusals import Malformed, Refusal, shortened
from everfresh.serving.versions.models import LoadedModel, ModelTable

SERVICE = "inference.GRPCInferenceService"

_LONGEST_ID = 128
_CONTENTS: Mapping[str, str] = {
    "BOOL": "bool_contents",
    **dict.fromkeys(("INT8", "INT16", "INT32"), "int_contents"),
    "INT64": "int64_contents",
    **dict.fromkeys(("UINT8", "UINT16", "UINT32"), "uint_contents"),
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}


@dataclass(frozen=True)
class Wants:
    """How an answer is to be written: which outputs, all where none is named, and whether as raw bytes."""

    outputs: tuple[str, ...]
    raw: bool


def methods(models: ModelTable, is_ready: Callable[[], bool]) -> list[Method]:
    """The methods of the protocol."""
    live, ready = message("inference.ServerLiveResponse"), message("inference.ServerReadyResponse")
    model_ready = message("inference.ModelReadyResponse")
    stream = message("inference.ModelStreamInferResponse")
    codec = Codec(_addressee, read, write)
    streamed = StreamCodec(
        codec,
        answered=lambda response: stream(infer_response=response),
        refused=lambda sentence: stream(error_message=sentence),
    )
    return [
        Method(SERVICE, "ServerLive", "nothing", lambda request: live(live=True)),
        Method(SERVICE, "ServerReady", "nothing", lambda request: ready(ready=is_ready())),
        Method(SERVICE, "ModelReady", "describe", lambda request: model_ready(ready=_is_served(models, request))),
        Method(SERVICE, "ServerMetadata", "describe", lambda request: _server_metadata()),
        Method(SERVICE, "ModelMetadata", "describe", lambda request: _model_metadata(models, request)),
        Method(SERVICE, "RepositoryIndex", "describe", lambda request: _index(models)),
        Method(SERVICE, "ModelInfer", "predict", codec),
        Method(SERVICE, "ModelStreamInfer", "predict", streamed),
    ]


def read(request: Message, model: LoadedModel) -> Question:
    """The question in a ModelInferRequest."""
    parameters = request.parameters
    missing = _parameter(parameters, "missing", "string_param", "text")
    timeout_us = _parameter(parameters, "timeout", "int64_param", "a number of microseconds")
    record = _parameter(parameters, "record", "bool_param", "true or false")
    raw = request.raw_input_contents
    if raw and len(raw) != len(request.inputs):
        raise Malformed(f"The request has {len(request.inputs)} inputs, and raw contents for {len(raw)}.")
    table: dict[str, Any] = {}
    for position, tensor in enumerate(request.inputs):
        if tensor.name in table:
            raise Malformed(f"Input {shortened(tensor.name)!r} is there twice.", field=shortened(tensor.name))
        table[tensor.name] = _raw(tensor, raw[position], missing) if raw else _typed(tensor, missing)
    return Question(
        table,
        id=_request_id(request.id),
        record=record is not False,
        timeout_s=timeout_us / 1e6 if timeout_us else None,
        wants=Wants(_wanted(request.outputs, model), raw=bool(raw) or not request.inputs),
    )


def write(inference: Inference) -> Message:
    """The answer as a ModelInferResponse."""
    wants: Wants = inference.wants
    tensors = signature.answers(inference)
    if inference.row_ids is None:
        tensors.append(signature.row_ids(inference))
    if wants.outputs:
        by_name = {tensor.name: tensor for tensor in tensors}
        tensors = [by_name[name] for name in wants.outputs if name in by_name]
    response = message("inference.ModelInferResponse")(
        model_name=inference.model.name, model_version=str(inference.model.version), id=inference.request_id
    )
    for tensor in tensors:
        output = response.outputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
        if wants.raw:
            response.raw_output_contents.append(write_raw(tensor.datatype, tensor.values))
        else:
            getattr(output.contents, _CONTENTS[tensor.datatype]).extend(_plain(tensor))
    return response


def _addressee(request: Message) -> Addressee:
    return Addressee(request.model_name or None, request.model_version or None)


def _raw(tensor: Message, data: bytes, missing: str | None) -> Any:
    if tensor.HasField("contents"):
        name = shortened(tensor.name)
        raise Malformed(f"Input {name!r} has contents of its own, and raw contents as well.", field=name)
    return read_raw(tensor.name, tensor.datatype, tensor.shape, data, missing)


def _typed(tensor: Message, missing: str | None) -> Any:
    """The values of a tensor in the field that its datatype has, and in no other."""
    name = shortened(tensor.name)
    rows = count_rows(tensor.name, tensor.shape)
    field = _CONTENTS.get(tensor.datatype)
    if field is None:
        dtype_of(tensor.name, tensor.datatype)
        raise Malformed(f"Input {name!r}: {tensor.datatype} comes as raw contents only.", field=name)
    filled = [described.name for described, _ in tensor.contents.ListFields()]
    if filled not in ([], [field]):
        other = next(other for other in filled if other != field)
        raise Malformed(f"Input {name!r} is of {tensor.datatype}, and has values in {other}.", field=name)
    values = getattr(tensor.contents, field)
    if len(values) != rows:
        raise Malformed(f"Input {name!r} has {len(values):,} values, and the shape says {rows:,}.", field=name)
    if tensor.datatype == "BYTES":
        return texts(tensor.name, values, missing)
    wide = {"int_contents": np.dtype(np.int64), "uint_contents": np.dtype(np.int64)}
    return numbers(np.array(values, wide.get(field) or dtype_of(tensor.name, tensor.datatype)))


def _plain(tensor: signature.Tensor) -> Sequence[Any]:
    if tensor.datatype == "BYTES":
        return [text.encode() for text in tensor.values]
    plain: list[Any] = np.asarray(tensor.values).reshape(-1).tolist()
    return plain


def _parameter(parameters: Mapping[str, Message], name: str, kind: str, wanted: str) -> Any:
    """The value of a parameter; None where it is not there."""
    if name not in parameters:
        return None
    given = parameters[name]
    if given.WhichOneof("parameter_choice") != kind:
        raise Malformed(f"The parameter {name!r} is {wanted}.", field="parameters")
    return getattr(given, kind)


def _request_id(given: str) -> str | None:
    if len(given) > _LONGEST_ID or not given.isprintable():
        raise Malformed(f"The id of a request is text of at most {_LONGEST_ID} characters.", field="id")
    return given or None


def _wanted(wanted: Sequence[Message], model: LoadedModel) -> tuple[str, ...]:
    known = [*(spec.name for spec in signature.outputs(model.manifest)), "id"]
    names = tuple(output.name for output in wanted)
    if not set(names) <= set(known) or len(set(names)) != len(names):
        raise Malformed(f"Outputs are {', '.join(known)}, each once; the request asks for others.", field="outputs")
    return names


def _is_served(models: ModelTable, request: Message) -> bool:
    with suppress(Refusal):
        return bool(models.find(request.name, request.version or None))
    return False


def _server_metadata() -> Message:
    kind = message("inference.ServerMetadataResponse")
    return kind(name="everfresh", version=everfresh.__version__)


def _model_metadata(models: ModelTable, request: Message) -> Message:
    served = models.served(request.name)
    model = served.default if not request.version else served.named(request.version)
    manifest = model.manifest
    properties = {
        "version": str(model.version),
        "task": manifest.task,
        "classes": json.dumps(manifest.classes),
        "id_column": manifest.id_column,
        "time_column": manifest.time_column,
        "label": manifest.label,
        "path": manifest.path,
        "path_reason": manifest.path_reason,
        "digest": manifest.digest,
        "trained_through": manifest.trained_through.isoformat() if manifest.trained_through else None,
    }
    others = sorted(other for other in served.versions if other != model.version)
    response = message("inference.ModelMetadataResponse")(
        name=model.name,
        # The version that this is about comes first.
        versions=[str(version) for version in (model.version, *others)],
        platform="onnxruntime_onnx" if model.scorer.path == "onnx" else "sklearn",
        properties={name: text for name, text in properties.items() if text is not None},
    )
    for specs, tensors in (
        (signature.inputs(manifest), response.inputs),
        (signature.outputs(manifest), response.outputs),
    ):
        for spec in specs:
            tensors.add(name=spec.name, datatype=spec.datatype, shape=spec.shape)
    return response


def _index(models: ModelTable) -> Message:
    response = message("inference.RepositoryIndexResponse")()
    for name, versions in sorted(models.loaded().items()):
        for version in versions:
            response.models.add(name=name, version=str(version), state="READY")
    return response
