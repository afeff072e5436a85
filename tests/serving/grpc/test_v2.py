"""The Open Inference Protocol, message by message."""

from __future__ import annotations

import struct

import grpc
import numpy as np
import pytest

from everfresh.data.inference_log import read_log
from everfresh.serving.grpc.messages import message

V2 = "inference.GRPCInferenceService"


def infer(server, request, **options):
    return server.call(V2, "ModelInfer", request, **options)


def refused(server, request, **options):
    return server.refusal(V2, "ModelInfer", request, **options)


def test_typed_tensors_are_answered_typed(shared, tensors, features, v1):
    response = infer(shared, tensors(rows=5))
    probabilities, label, ids = response.outputs
    assert not response.raw_output_contents
    assert list(probabilities.shape) == [5, 2]
    answer = np.array(probabilities.contents.fp64_contents).reshape(5, 2)
    np.testing.assert_allclose(answer, v1.answer(features[:5]), rtol=0, atol=1e-12)
    assert label.contents.bytes_contents[0].decode() in v1.bundle.manifest.classes
    assert ids.contents.bytes_contents[4] == f"{response.id}-4".encode()


def test_many_typed_rows_are_answered_as_a_few_are(shared, tensors, features, v1):
    answer = np.array(infer(shared, tensors(rows=40)).outputs[0].contents.fp64_contents).reshape(40, 2)
    np.testing.assert_allclose(answer, v1.answer(features), rtol=0, atol=1e-12)


@pytest.mark.parametrize("datatype", ["INT8", "INT16", "INT32", "UINT8", "UINT16", "UINT32", "UINT64", "FP32", "FP64"])
def test_a_column_may_come_in_any_datatype_that_holds_its_values(shared, tensors, features, v1, datatype):
    request = tensors(rows=3)
    stops = request.inputs[1]
    values = list(stops.contents.int64_contents)
    field = {"F": f"{datatype.lower()}_contents", "I": "int_contents", "U": "uint_contents"}[datatype[0]]
    stops.datatype = datatype
    stops.contents.Clear()
    getattr(stops.contents, "uint64_contents" if datatype == "UINT64" else field).extend(values)
    answer = np.array(infer(shared, request).outputs[0].contents.fp64_contents).reshape(3, 2)
    np.testing.assert_allclose(answer, v1.answer(features[:3]), rtol=0, atol=1e-12)


def test_a_text_is_missing_only_where_the_request_says_which_one_means_that(shared, tensors):
    request = tensors(rows=3)
    request.inputs[4].contents.bytes_contents[1] = b"?"
    assert len(infer(shared, request).outputs[0].contents.fp64_contents) == 6
    del request.parameters["missing"]
    status, sentence = refused(shared, request)
    assert status == "INVALID_ARGUMENT"
    assert "Column 'booked_at', row 1: '?' is not a time" in sentence


def test_the_rows_are_in_the_inference_log_unless_the_request_says_no(running, models, tensors, tmp_path):
    with running(models, tmp_path, lambda authorization, needs: None) as server:
        infer(server, tensors(rows=2, id="kept"))
        silent = tensors(rows=2, id="silent")
        silent.parameters["record"].bool_param = False
        infer(server, silent)
    logged = read_log(tmp_path, "flights")
    assert sorted(logged["id"]) == ["kept-0", "kept-1"]


def test_metadata_chooses_the_version_as_headers_do(shared, tensors):
    _, told = shared.send(
        V2,
        "ModelInfer",
        tensors(rows=1).SerializeToString(),
        metadata=(("x-model-version", "canary"), ("x-request-id", "mine")),
    )
    assert told == {"x-request-id": "mine", "x-model": "flights", "x-model-version": "2"}


def test_an_id_that_could_forge_a_line_of_a_log_is_replaced(shared, tensors):
    _, told = shared.send(V2, "ModelInfer", tensors(rows=1).SerializeToString(), metadata=(("x-request-id", "a b"),))
    assert " " not in told["x-request-id"]


def raw(request):
    """The same request with its first tensor only, raw."""
    changed = type(request)()
    changed.CopyFrom(request)
    del changed.inputs[1:]
    changed.inputs[0].ClearField("contents")
    changed.raw_input_contents.append(struct.pack("<d", 1.0))
    changed.inputs[0].shape[:] = [1]
    return changed


def shape(*sizes):
    def change(request):
        request.inputs[0].shape[:] = sizes

    return change


def datatype(name):
    def change(request):
        request.inputs[0].datatype = name

    return change


def more_raw(request):
    request.raw_input_contents.append(b"")


def short_raw(request):
    request.raw_input_contents[0] = b"1234567"


def both(request):
    request.inputs[0].contents.fp64_contents.append(1.0)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (shape(10**12), "has 8 bytes, and 1,000,000,000,000 values of FP64 are 8,000,000,000,000"),
        (shape(2**63 - 1), "has 8 bytes"),
        (shape(-1), "must have the shape [rows] or [rows, 1]"),
        (shape(), "must have the shape [rows] or [rows, 1]"),
        (shape(1, 2), "must have the shape [rows] or [rows, 1]"),
        (shape(2), "has 8 bytes, and 2 values of FP64 are 16"),
        (shape(0), "has 8 bytes, and 0 values of FP64 are 0"),
        (datatype("FP128"), "has the datatype 'FP128'"),
        (datatype("BYTES"), "is not 1 texts, each after its length in four bytes"),
        (more_raw, "has 1 inputs, and raw contents for 2"),
        (short_raw, "has 7 bytes"),
        (both, "has contents of its own, and raw contents as well"),
    ],
)
def test_raw_tensors_that_are_not_what_they_say_are_refused(shared, tensors, change, sentence):
    request = raw(tensors(rows=1))
    change(request)
    status, said = refused(shared, request)
    assert status == "INVALID_ARGUMENT"
    assert sentence in said


def other_field(request):
    request.inputs[0].contents.Clear()
    request.inputs[0].contents.fp32_contents.append(1.0)


def second_field(request):
    request.inputs[0].contents.int_contents.append(1)


def twice(request):
    request.inputs.add().CopyFrom(request.inputs[0])


def half(request):
    request.inputs[0].datatype = "FP16"


def infinite(request):
    request.inputs[0].contents.fp64_contents[0] = float("inf")


def no_utf8(request):
    request.inputs[3].contents.bytes_contents[0] = b"\xff\xfe"


def unknown_output(request):
    request.outputs.add(name="logits")


def long_id(request):
    request.id = "x" * 129


def odd_parameter(request):
    request.parameters["record"].string_param = "no"


def no_tensors(request):
    del request.inputs[:]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (other_field, "is of FP64, and has values in fp32_contents"),
        (second_field, "is of FP64, and has values in int_contents"),
        (twice, "'distance' is there twice"),
        (half, "FP16 comes as raw contents only"),
        (shape(3), "has 1 values, and the shape says 3"),
        (shape(10**12), "has 1 values, and the shape says 1,000,000,000,000"),
        (infinite, "Column 'distance', row 0: inf is not a finite number"),
        (no_utf8, "Column 'carrier', row 0: b'\\xff\\xfe' is not text in UTF-8"),
        (unknown_output, "Outputs are probabilities, label, id"),
        (long_id, "at most 128 characters"),
        (odd_parameter, "The parameter 'record' is true or false"),
        (no_tensors, "lacks the columns 'distance'"),
    ],
)
def test_a_request_that_is_not_what_the_model_reads_is_refused_with_a_sentence(shared, tensors, change, sentence):
    request = tensors(rows=1)
    change(request)
    status, said = refused(shared, request)
    assert status == "INVALID_ARGUMENT"
    assert sentence in said


def test_a_model_or_a_version_that_is_not_there_is_not_found(shared, tensors):
    assert refused(shared, tensors(model_name="nobody"))[0] == "NOT_FOUND"
    status, sentence = refused(shared, tensors(model_version="7"))
    assert (status, sentence) == (
        "NOT_FOUND",
        "Version 7 of 'flights' is not served; versions 1, 2 are. Aliases: canary.",
    )


def test_too_many_rows_are_refused_as_too_much(shared):
    request = message("inference.ModelInferRequest")(model_name="flights")
    request.inputs.add(name="distance", datatype="FP64", shape=[10_001])
    request.raw_input_contents.append(bytes(8 * 10_001))
    assert refused(shared, request) == (
        "RESOURCE_EXHAUSTED",
        "The request has 10,001 rows, and one request may have 10,000.",
    )


def test_bytes_that_are_no_message_are_refused(shared):
    with pytest.raises(grpc.RpcError) as broken:
        shared.send(V2, "ModelInfer", b"\xff\xff\xff")
    assert broken.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert broken.value.details() == "The request is not a message of the kind inference.ModelInferRequest."
    assert dict(broken.value.trailing_metadata())["x-request-id"]


def test_a_refusal_names_the_request(shared, tensors):
    with pytest.raises(grpc.RpcError) as broken:
        infer(shared, tensors(model_name="nobody"), metadata=(("x-request-id", "mine"),))
    assert dict(broken.value.trailing_metadata())["x-request-id"] == "mine"


def test_a_sentence_is_no_longer_than_a_client_takes(shared, tensors):
    request = tensors(rows=1)
    for number in range(5):
        request.inputs.add(name=f"ä{number}" * 2_000, datatype="FP64", shape=[1]).contents.fp64_contents.append(1)
    status, sentence = refused(shared, request)
    assert status == "INVALID_ARGUMENT"
    assert "The model does not know the columns 'ä0ä0" in sentence
    assert len(sentence) <= 2_000


def test_what_nobody_planned_is_an_internal_error_without_its_insides(running, models, tensors, tmp_path, caplog):
    def break_down(authorization, needs):
        raise RuntimeError("secret of the server")

    with running(models, tmp_path, break_down) as server:
        assert refused(server, tensors(rows=1)) == (
            "INTERNAL",
            "The server failed on this request; its log says why.",
        )
    assert "secret of the server" in caplog.text


def test_the_time_that_the_caller_waits_is_the_deadline(shared, tensors, monkeypatch):
    seen = []
    infer_as_before = shared.server._app._plane.infer

    async def remember(choice, asked):
        seen.append(asked)
        return await infer_as_before(choice, asked)

    monkeypatch.setattr(shared.server._app._plane, "infer", remember)
    infer(shared, tensors(rows=1), timeout=5)
    sooner = tensors(rows=1)
    sooner.parameters["timeout"].int64_param = 1_000_000
    infer(shared, sooner, timeout=5)
    assert 3.5 < seen[0].deadline - seen[1].deadline < 4.5


def test_a_deadline_that_is_over_before_the_turn_is_exceeded(shared, tensors):
    request = tensors(rows=1)
    request.parameters["timeout"].int64_param = 1
    assert refused(shared, request) == (
        "DEADLINE_EXCEEDED",
        "The request waited longer than its own time limit, and was not started.",
    )
