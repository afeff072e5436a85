"""TensorFlow Serving's PredictionService and ModelService, without TensorFlow.

A model has the one signature `serving_default`: its columns by name, and the outputs of everfresh/serving/signature.py.
Predict takes tensors of the shape [rows] or [rows, 1]; among numbers NaN is a missing one, also of a category or a
time, and among texts there is none. Classify and Regress take examples, where a feature without a value is missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import repeat
from typing import Any

import numpy as np

from everfresh.serving import signature
from everfresh.serving.grpc.examples import read_examples
from everfresh.serving.grpc.messages import Message, message
from everfresh.serving.grpc.methods import Addressee, Codec, Method
from everfresh.serving.inference import Inference
from everfresh.serving.questions.decoding import MOST_ROWS, check_rows
from everfresh.serving.questions.question import Question
from everfresh.serving.questions.tensors import count_rows, dtype_of, numbers, read_raw, texts
from everfresh.serving.refusals import Malformed, Refusal, shortened
from everfresh.serving.versions.models import LoadedModel, ModelTable

PREDICTION = "tensorflow.serving.PredictionService"
MODEL = "tensorflow.serving.ModelService"
SIGNATURE = "serving_default"

# The number of each datatype, the field of its values, and what the Open Inference Protocol calls it.
_DATATYPES: Mapping[int, tuple[str, str]] = {
    1: ("float_val", "FP32"),
    2: ("double_val", "FP64"),
    3: ("int_val", "INT32"),
    4: ("int_val", "UINT8"),
    5: ("int_val", "INT16"),
    6: ("int_val", "INT8"),
    7: ("string_val", "BYTES"),
    9: ("int64_val", "INT64"),
    10: ("bool_val", "BOOL"),
    14: ("tensor_content", "BF16"),
    17: ("int_val", "UINT16"),
    19: ("tensor_content", "FP16"),
    22: ("uint32_val", "UINT32"),
    23: ("uint64_val", "UINT64"),
}
_NUMBER_OF = {datatype: number for number, (_, datatype) in _DATATYPES.items()}
_ABOUT_VALUES = frozenset({"dtype", "tensor_shape", "version_number"})


class OtherTask(Refusal):
    """A classification asked of a regression, or the other way round."""

    code = "other_task"

    def __init__(self, model: LoadedModel, method: str) -> None:
        task = model.manifest.task
        super().__init__(f"{model.name!r} is a {task} and does not {method}; call Predict, which takes every model.")


class NotOffered(Refusal):
    """A method of TensorFlow Serving that this server leaves out."""

    status = 501
    code = "not_offered"


def methods(models: ModelTable) -> list[Method]:
    """The methods of both services."""
    return [
        Method(PREDICTION, "Predict", "predict", Codec(_addressee, read_predict, write_predict)),
        Method(PREDICTION, "Classify", "predict", Codec(_addressee, read_classify, write_classify)),
        Method(PREDICTION, "Regress", "predict", Codec(_addressee, read_regress, write_regress)),
        Method(PREDICTION, "MultiInference", "predict", _multi_inference),
        Method(PREDICTION, "GetModelMetadata", "describe", lambda request: _metadata(models, request)),
        Method(MODEL, "GetModelStatus", "describe", lambda request: _status(models, request)),
        Method(MODEL, "HandleReloadConfigRequest", "admin", _reload),
    ]


def read_predict(request: Message, model: LoadedModel) -> Question:
    """The question in a PredictRequest."""
    _check_signature(request.model_spec)
    known = [spec.name for spec in signature.outputs(model.manifest)]
    wanted = tuple(request.output_filter)
    if not set(wanted) <= set(known):
        raise Malformed(f"Outputs are {', '.join(known)}; the request asks for others.", field="output_filter")
    return Question({name: read_tensor(name, tensor) for name, tensor in request.inputs.items()}, wants=wanted)


def write_predict(inference: Inference) -> Message:
    """The answer as a PredictResponse."""
    response = message("tensorflow.serving.PredictResponse")()
    _say_who(response.model_spec, inference.model)
    for tensor in signature.answers(inference):
        if not inference.wants or tensor.name in inference.wants:
            _write_tensor(tensor, response.outputs[tensor.name])
    return response


def read_classify(request: Message, model: LoadedModel) -> Question:
    """The question in a ClassificationRequest."""
    _check_signature(request.model_spec)
    if not model.manifest.classes:
        raise OtherTask(model, "classify")
    return Question(read_examples(request.input))


def write_classify(inference: Inference) -> Message:
    """The answer as a ClassificationResponse: every class of each row, in the order of the model."""
    response = message("tensorflow.serving.ClassificationResponse")()
    _say_who(response.model_spec, inference.model)
    classes = inference.model.manifest.classes
    for row in inference.answer.tolist():
        found = response.result.classifications.add()
        for label, score in zip(classes, row, strict=True):
            found.classes.add(label=label, score=score)
    return response


def read_regress(request: Message, model: LoadedModel) -> Question:
    """The question in a RegressionRequest."""
    _check_signature(request.model_spec)
    if model.manifest.classes:
        raise OtherTask(model, "regress")
    return Question(read_examples(request.input))


def write_regress(inference: Inference) -> Message:
    """The answer as a RegressionResponse."""
    response = message("tensorflow.serving.RegressionResponse")()
    _say_who(response.model_spec, inference.model)
    for value in inference.answer.tolist():
        response.result.regressions.add(value=value)
    return response


def read_tensor(name: str, tensor: Message) -> Any:
    """The values of a TensorProto.

    They are in the field of its datatype, where the last one stands for all that are left out, or they are bytes.

    Raises:
        Malformed: it is no column, or its values are not what it says.
        TooManyRows: there are too many.
        BadValue: a text is no UTF-8.
    """
    known = _DATATYPES.get(tensor.dtype)
    if known is None:
        kinds = ", ".join(f"DT_{word}" for word in ("FLOAT", "DOUBLE", "STRING", "BOOL"))
        raise _bad(name, f"is of datatype {tensor.dtype}; a column is one of {kinds}, or of integers.")
    field, datatype = known
    if tensor.tensor_shape.unknown_rank:
        raise _bad(name, "has no shape.")
    shape = [dimension.size for dimension in tensor.tensor_shape.dim]
    filled = [described.name for described, _ in tensor.ListFields() if described.name not in _ABOUT_VALUES]
    if filled == ["tensor_content"] and datatype != "BYTES":
        return read_raw(name, datatype, shape, tensor.tensor_content)
    if filled not in ([], [field]):
        raise _bad(name, f"has values in {' and '.join(filled)}, where its datatype has them in {field}.")
    return _values(name, field, datatype, count_rows(name, shape), tensor)


def _values(name: str, field: str, datatype: str, rows: int, tensor: Message) -> Any:
    values = list(getattr(tensor, field))
    if len(values) > rows or (rows and not values) or (rows > MOST_ROWS and len(values) < rows):
        raise _bad(name, f"has {len(values):,} values, and the shape says {rows:,}.")
    check_rows(rows)
    values += repeat(values[-1], rows - len(values)) if rows else ()
    if datatype == "BYTES":
        return texts(name, values)
    return numbers(np.array(values, np.int64 if field == "int_val" else dtype_of(name, datatype)))


def _write_tensor(tensor: signature.Tensor, into: Message) -> None:
    into.dtype = _NUMBER_OF[tensor.datatype]
    for size in tensor.shape:
        into.tensor_shape.dim.add(size=size)
    if tensor.datatype == "BYTES":
        into.string_val.extend(text.encode() for text in tensor.values)
    else:
        into.double_val.extend(np.asarray(tensor.values).reshape(-1).tolist())


def _addressee(request: Message) -> Addressee:
    spec = request.model_spec
    choice = spec.WhichOneof("version_choice")
    version = spec.version_label if choice == "version_label" else str(spec.version.value) if choice else None
    return Addressee(spec.name or None, version)


def _check_signature(spec: Message) -> None:
    if spec.signature_name not in ("", SIGNATURE):
        said = f"There is no signature {shortened(spec.signature_name)!r}; a model has {SIGNATURE!r}."
        raise Malformed(said, field="model_spec")


def _say_who(spec: Message, model: LoadedModel) -> None:
    spec.name, spec.version.value, spec.signature_name = model.name, model.version, SIGNATURE


def _find(models: ModelTable, request: Message) -> LoadedModel:
    addressee = _addressee(request)
    return models.find(addressee.name or models.only(), addressee.version)


def _metadata(models: ModelTable, request: Message) -> Message:
    if list(request.metadata_field) != ["signature_def"]:
        raise Malformed("The one metadata field is signature_def.", field="metadata_field")
    model = _find(models, request)
    signatures = message("tensorflow.serving.SignatureDefMap")()
    own = signatures.signature_def[SIGNATURE]
    own.method_name = "tensorflow/serving/predict"
    _describe(signature.inputs(model.manifest), own.inputs)
    _describe(signature.outputs(model.manifest), own.outputs)
    response = message("tensorflow.serving.GetModelMetadataResponse")()
    response.model_spec.name, response.model_spec.version.value = model.name, model.version
    response.metadata["signature_def"].Pack(signatures)
    return response


def _describe(specs: Sequence[signature.TensorSpec], into: Message) -> None:
    for spec in specs:
        info = into[spec.name]
        info.name, info.dtype = f"{spec.name}:0", _NUMBER_OF[spec.datatype]
        for size in spec.shape:
            info.tensor_shape.dim.add(size=size)


def _status(models: ModelTable, request: Message) -> Message:
    addressee = _addressee(request)
    served = models.served(addressee.name or models.only())
    named = [served.named(addressee.version).version] if addressee.version is not None else None
    response = message("tensorflow.serving.GetModelStatusResponse")()
    for version in named or sorted(served.versions, reverse=True):
        state = response.model_version_status.add(version=version, state="AVAILABLE")
        state.status.error_code = 0
    return response


def _multi_inference(request: Message) -> Message:
    raise NotOffered("MultiInference is not offered; ask each model by itself, with Predict, Classify or Regress.")


def _reload(request: Message) -> Message:
    raise NotOffered("Models are loaded and unloaded by the admin API over HTTP, and not by this method.")


def _bad(name: str, why: str) -> Malformed:
    return Malformed(f"Input {shortened(name)!r} {why}", field=shortened(name))
