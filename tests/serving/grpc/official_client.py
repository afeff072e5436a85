"""Asks a server with the stubs of the `tensorflow-serving-api` package, and prints what it hears as JSON.

Run by test_official_client.py with a Python that has them. Of TensorFlow itself only the messages are imported, so that
this takes a second and not minutes.
"""
# ruff: noqa: E402 - first what is not imported, then what is

import importlib.util
import json
import struct
import sys
import types


def without_tensorflow():
    """Let `tensorflow.core` be imported and nothing else of the package."""
    package = types.ModuleType("tensorflow")
    package.__path__ = list(importlib.util.find_spec("tensorflow").submodule_search_locations)
    sys.modules["tensorflow"] = package


without_tensorflow()

import grpc
from tensorflow.core.example import example_pb2
from tensorflow.core.framework import types_pb2
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)

PROTOS = (
    predict_pb2,
    classification_pb2,
    regression_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_management_pb2,
)


def put(request, name, dtype, values, content=None):
    tensor = request.inputs[name]
    tensor.dtype = dtype
    tensor.tensor_shape.dim.add().size = len(values)
    if content:
        tensor.tensor_content = struct.pack(f"<{len(values)}{content}", *values)
    else:
        tensor.string_val.extend(value.encode() for value in values)


def predict_request(rows, **spec):
    request = predict_pb2.PredictRequest()
    request.model_spec.name = spec.pop("name", "flights")
    for name, value in spec.items():
        setattr(request.model_spec, name, value)
    put(request, "distance", types_pb2.DT_DOUBLE, [row["distance"] for row in rows], "d")
    put(request, "stops", types_pb2.DT_INT64, [row["stops"] for row in rows], "q")
    put(request, "weekend", types_pb2.DT_BOOL, [row["weekend"] for row in rows], "?")
    put(request, "carrier", types_pb2.DT_STRING, [row["carrier"] for row in rows])
    put(request, "booked_at", types_pb2.DT_STRING, [row["booked_at"] for row in rows])
    return request


def example(row):
    made = example_pb2.Example()
    features = made.features.feature
    features["distance"].float_list.value.append(row["distance"])
    features["stops"].int64_list.value.append(row["stops"])
    features["weekend"].int64_list.value.append(int(row["weekend"]))
    features["carrier"].bytes_list.value.append(row["carrier"].encode())
    features["booked_at"].bytes_list.value.append(row["booked_at"].encode())
    return made


def refused(call, request):
    try:
        call(request, timeout=10)
    except grpc.RpcError as error:
        return error.code().name
    return "OK"


def main(port, rows):
    channel = grpc.insecure_channel(f"127.0.0.1:{port}")
    prediction = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    model = model_service_pb2_grpc.ModelServiceStub(channel)
    heard = {}

    answer = prediction.Predict(predict_request(rows), timeout=10)
    heard["probabilities"] = list(answer.outputs["probabilities"].double_val)
    heard["labels"] = [label.decode() for label in answer.outputs["label"].string_val]
    heard["version"] = answer.model_spec.version.value
    canary = prediction.Predict(predict_request(rows, version_label="canary"), timeout=10)
    heard["canary"] = canary.model_spec.version.value
    values = prediction.Predict(predict_request(rows, name="minutes"), timeout=10)
    heard["values"] = list(values.outputs["value"].double_val)

    classify = classification_pb2.ClassificationRequest()
    classify.model_spec.name = "flights"
    classify.input.example_list.examples.extend(example(row) for row in rows)
    result = prediction.Classify(classify, timeout=10).result
    heard["scores"] = [[entry.score for entry in one.classes] for one in result.classifications]
    regress = regression_pb2.RegressionRequest()
    regress.model_spec.name = "minutes"
    regress.input.example_list.examples.extend(example(row) for row in rows)
    heard["regressions"] = [one.value for one in prediction.Regress(regress, timeout=10).result.regressions]

    metadata = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    metadata.model_spec.name = "flights"
    signatures = get_model_metadata_pb2.SignatureDefMap()
    prediction.GetModelMetadata(metadata, timeout=10).metadata["signature_def"].Unpack(signatures)
    own = signatures.signature_def["serving_default"]
    heard["inputs"] = {name: types_pb2.DataType.Name(info.dtype) for name, info in own.inputs.items()}
    heard["outputs"] = {name: types_pb2.DataType.Name(info.dtype) for name, info in own.outputs.items()}

    status = get_model_status_pb2.GetModelStatusRequest()
    status.model_spec.name = "flights"
    states = model.GetModelStatus(status, timeout=10).model_version_status
    state_name = get_model_status_pb2.ModelVersionStatus.State.Name
    heard["states"] = {str(one.version): state_name(one.state) for one in states}

    huge = predict_request(rows)
    huge.inputs["distance"].tensor_shape.dim[0].size = 10**12
    heard["huge"] = refused(prediction.Predict, huge)
    heard["nobody"] = refused(prediction.Predict, predict_request(rows, name="nobody"))
    heard["multi"] = refused(prediction.MultiInference, inference_pb2.MultiInferenceRequest())
    heard["reload"] = refused(model.HandleReloadConfigRequest, model_management_pb2.ReloadConfigRequest())
    heard["fields"] = fields()
    sys.stdout.write(json.dumps(heard))


def fields():
    """What each message of TensorFlow's and of these files has: the number, type and repetition of every field."""
    found = {}
    seen = set()

    def walk(file):
        if file.name in seen:
            return
        seen.add(file.name)
        for kind in file.message_types_by_name.values():
            note(kind)
        for needed in file.dependencies:
            walk(needed)

    def note(kind):
        found[kind.full_name] = {field.name: [field.number, field.type, field.is_repeated] for field in kind.fields}
        for nested in kind.nested_types:
            note(nested)

    for module in PROTOS:
        walk(module.DESCRIPTOR)
    return found


if __name__ == "__main__":
    main(int(sys.argv[1]), json.load(sys.stdin))
