"""Whatever bytes come, the answer is an answer or a sentence, and the server goes on."""

from __future__ import annotations

import struct

import grpc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from everfresh.serving.grpc import health, tensorflow_serving, v2
from everfresh.serving.grpc.messages import message, pool

PREDICTION, MODEL = tensorflow_serving.PREDICTION, tensorflow_serving.MODEL
METHODS = sorted(
    (service, method.name)
    for service in (v2.SERVICE, PREDICTION, MODEL, health.SERVICE)
    for method in pool().FindServiceByName(service).methods
    if not method.client_streaming
)
REFUSALS = {
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.UNIMPLEMENTED,
}


def status_of(server, service, method, data):
    """The status of the answer; one that is no answer has a sentence and names the request."""
    refused = refusal_of(server, service, method, data)
    if refused is None:
        return grpc.StatusCode.OK
    assert refused.code() in REFUSALS, (refused.code(), refused.details())
    assert refused.details().endswith((".", "…"))
    assert dict(refused.trailing_metadata())["x-request-id"]
    return refused.code()


def refusal_of(server, service, method, data):
    try:
        server.send(service, method, data)
    except grpc.RpcError as error:
        return error
    return None


@pytest.fixture(scope="module")
def valid(tensors, plain):
    """A message of each kind that asks a model, as it should be."""
    raw = tensors(rows=2)
    for tensor in raw.inputs:
        ((_, values),) = tensor.contents.ListFields()
        kinds = {"FP64": "d", "INT64": "q", "BOOL": "?"}
        if tensor.datatype == "BYTES":
            raw.raw_input_contents.append(b"".join(struct.pack("<I", len(value)) + value for value in values))
        else:
            raw.raw_input_contents.append(struct.pack(f"<2{kinds[tensor.datatype]}", *values))
        tensor.ClearField("contents")
    predict = message("tensorflow.serving.PredictRequest")()
    predict.model_spec.name = "flights"
    classify = message("tensorflow.serving.ClassificationRequest")()
    classify.model_spec.name = "flights"
    feature = classify.input.example_list.examples.add().features.feature
    for name, number, field, value in (
        ("distance", 2, "double_val", 800.0),
        ("stops", 9, "int64_val", 1),
        ("weekend", 10, "bool_val", True),
        ("carrier", 7, "string_val", b"AA"),
        ("booked_at", 7, "string_val", plain["booked_at"][0].encode()),
    ):
        tensor = predict.inputs[name]
        tensor.dtype = number
        tensor.tensor_shape.dim.add(size=1)
        getattr(tensor, field).append(value)
        if isinstance(value, bytes):
            feature[name].bytes_list.value.append(value)
        else:
            feature[name].int64_list.value.append(int(value))
    return [
        (v2.SERVICE, "ModelInfer", tensors(rows=2).SerializeToString()),
        (v2.SERVICE, "ModelInfer", raw.SerializeToString()),
        (PREDICTION, "Predict", predict.SerializeToString()),
        (PREDICTION, "Classify", classify.SerializeToString()),
    ]


def test_the_messages_that_are_mutated_are_good_ones(shared, valid):
    assert {status_of(shared, *one) for one in valid} == {grpc.StatusCode.OK}


@given(method=st.sampled_from(METHODS), data=st.binary(max_size=200))
@settings(max_examples=150, deadline=None)
def test_bytes_of_any_kind(shared, method, data):
    status_of(shared, *method, data)


@given(data=st.data())
@settings(max_examples=250, deadline=None)
def test_good_messages_with_bytes_changed_left_out_and_put_in(shared, valid, data):
    service, method, content = data.draw(st.sampled_from(valid))
    changed = bytearray(content)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(changed) - 1))
        kind = data.draw(st.sampled_from(["change", "drop", "put", "cut"]))
        if kind == "change":
            changed[place] = data.draw(st.integers(0, 255))
        elif kind == "drop" and len(changed) > 1:
            del changed[place]
        elif kind == "put":
            changed[place:place] = data.draw(st.binary(min_size=1, max_size=8))
        elif kind == "cut" and place:
            del changed[place:]
    status_of(shared, service, method, bytes(changed))


SIZES = st.lists(st.one_of(st.integers(-2, 4), st.integers(-(2**63), 2**63 - 1)), max_size=3)


@given(
    name=st.sampled_from(["distance", "carrier", "booked_at", "weekend", "", "\x00", "é" * 200]),
    datatype=st.one_of(st.sampled_from(["BOOL", "INT8", "UINT64", "FP16", "BF16", "FP32", "FP64", "BYTES"]), st.text()),
    shape=SIZES,
    raw=st.one_of(st.none(), st.binary(max_size=40)),
    doubles=st.lists(st.floats(), max_size=3),
    texts=st.lists(st.binary(max_size=4), max_size=3),
)
@settings(max_examples=150, deadline=None)
def test_tensors_that_say_anything_of_themselves(shared, tensors, name, datatype, shape, raw, doubles, texts):
    request = tensors(rows=1)
    kept = request.inputs[1:4]
    del request.inputs[:]
    request.inputs.extend(kept)
    tensor = request.inputs.add(name=name, datatype=datatype, shape=shape)
    tensor.contents.fp64_contents.extend(doubles)
    tensor.contents.bytes_contents.extend(texts)
    if raw is not None:
        del request.inputs[:-1]
        tensor = request.inputs[0]
        tensor.ClearField("contents")
        request.raw_input_contents.append(raw)
    status_of(shared, v2.SERVICE, "ModelInfer", request.SerializeToString())


@given(
    dtype=st.integers(-(2**31), 2**31 - 1) | st.integers(0, 24),
    shape=SIZES,
    content=st.binary(max_size=20),
    floats=st.lists(st.floats(width=32), max_size=3),
    doubles=st.lists(st.floats(), max_size=3),
    integers=st.lists(st.integers(-(2**63), 2**63 - 1), max_size=3),
    texts=st.lists(st.binary(max_size=4), max_size=3),
)
@settings(max_examples=150, deadline=None)
def test_tensors_of_tensorflow_that_say_anything_of_themselves(
    shared, valid, dtype, shape, content, floats, doubles, integers, texts
):
    request = message("tensorflow.serving.PredictRequest").FromString(valid[2][2])
    tensor = request.inputs["distance"]
    tensor.Clear()
    tensor.dtype = dtype
    for size in shape:
        tensor.tensor_shape.dim.add(size=size)
    tensor.tensor_content = content
    tensor.float_val.extend(floats)
    tensor.double_val.extend(doubles)
    tensor.int64_val.extend(integers)
    tensor.string_val.extend(texts)
    status_of(shared, PREDICTION, "Predict", request.SerializeToString())


def test_the_server_answers_as_before(shared, valid):
    """Runs after the others, on the same server."""
    assert {status_of(shared, *one) for one in valid} == {grpc.StatusCode.OK}
    assert shared.metrics.snapshot().values["everfresh_requests_in_flight"][()] == 0
