"""Tensors behind the JSON: what is not there, is too much, or is something else."""

from __future__ import annotations

import json

import numpy as np
import pytest
from tritonclient.utils import serialize_byte_tensor

from everfresh.serving.http.messages import Request
from everfresh.serving.http.v2 import CODEC
from everfresh.serving.refusals import Refusal

ROWS = 40
DATATYPES = {"distance": "FP64", "stops": "INT64", "weekend": "BOOL", "carrier": "BYTES", "booked_at": "FP64"}


def raw_of(features):
    """The columns as tritonclient would write them; NaN where there is no value."""
    seconds = features["booked_at"].astype("datetime64[us]").astype("int64").to_numpy() / 1e6
    return {
        "distance": features["distance"].to_numpy(np.float64).tobytes(),
        "stops": features["stops"].to_numpy(np.int64).tobytes(),
        "weekend": features["weekend"].to_numpy(np.bool_).tobytes(),
        "carrier": serialize_byte_tensor(features["carrier"].fillna("").to_numpy(np.object_)).item(),
        "booked_at": np.where(features["booked_at"].isna(), np.nan, seconds).tobytes(),
    }


def body_of(raw, *, changes=None, extra=b"", **content):
    inputs = [
        {
            "name": name,
            "datatype": DATATYPES[name],
            "shape": [ROWS],
            "parameters": {"binary_data_size": len(data)},
            **(changes or {}).get(name, {}),
        }
        for name, data in raw.items()
    ]
    head = json.dumps({"inputs": inputs, "parameters": {"missing": ""}, **content}).encode()
    return head + b"".join(raw.values()) + extra, str(len(head))


@pytest.fixture(scope="module")
def raw(features):
    return raw_of(features)


def test_bytes_get_the_answer_of_the_pipeline_as_bytes(ask, flights_model, v1, features, raw):
    body, length = body_of(raw, parameters={"missing": "", "binary_data_output": True})
    answered = ask(CODEC, flights_model, body, inference_header_content_length=length)
    assert answered.content_type == "application/octet-stream"
    head = int(answered.headers["inference-header-content-length"])
    outputs = {output["name"]: output for output in json.loads(answered.body[:head])["outputs"]}
    sizes = [output["parameters"]["binary_data_size"] for output in outputs.values()]
    assert sum(sizes) == len(answered.body) - head
    expected = v1.answer(features)
    probabilities = np.frombuffer(answered.body[head : head + sizes[0]], "<f8").reshape(
        outputs["probabilities"]["shape"]
    )
    np.testing.assert_allclose(probabilities, expected, rtol=0, atol=1e-12)
    labels = np.array([("late", "on time")[best] for best in expected.argmax(axis=1)], dtype=np.object_)
    assert answered.body[head + sizes[0] : head + sizes[0] + sizes[1]] == serialize_byte_tensor(labels).item()


def test_some_tensors_may_be_bytes_and_others_json(ask, flights_model, features, plain, raw):
    tensors = [
        {"name": n, "datatype": DATATYPES[n], "shape": [ROWS], "parameters": {"binary_data_size": len(raw[n])}}
        if n in ("distance", "stops")
        else {"name": n, "data": plain[n]}
        for n in raw
    ]
    wanted = [{"name": "label"}, {"name": "probabilities", "parameters": {"binary_data": True}}]
    head = json.dumps({"inputs": tensors, "outputs": wanted}).encode()
    body = head + raw["distance"] + raw["stops"]
    answered = ask(CODEC, flights_model, body, inference_header_content_length=str(len(head)))
    told = json.loads(answered.body[: int(answered.headers["inference-header-content-length"])])["outputs"]
    assert [output["name"] for output in told] == ["label", "probabilities"]
    as_json = json.dumps({"inputs": [{"name": n, "data": v} for n, v in plain.items()]}).encode()
    plainly = json.loads(ask(CODEC, flights_model, as_json).body)["outputs"]
    assert told[0]["data"] == plainly[1]["data"]
    assert answered.body.endswith(np.array(plainly[0]["data"]).tobytes())


@pytest.mark.parametrize("length", ["-1", "+5", "1e3", "99999", "9" * 5000, "", " 5", "٣"])
def test_a_length_of_the_json_that_is_none_is_refused(ask, flights_model, raw, length):
    body, _ = body_of(raw)
    with pytest.raises(Refusal, match="Inference-Header-Content-Length") as refused:
        ask(CODEC, flights_model, body, inference_header_content_length=length)
    assert (refused.value.status, refused.value.code) == (400, "bad_header")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"parameters": {"binary_data_size": -1}}, "is no length in bytes"),
        ({"parameters": {"binary_data_size": True}}, "is no length in bytes"),
        ({"parameters": {"binary_data_size": "320"}}, "is no length in bytes"),
        ({"parameters": {"binary_data_size": 2**70}}, "is no length in bytes"),
        ({"parameters": {"binary_data_size": 2**62}}, "has 4,611,686,018,427,387,904 bytes, and only 1,"),
        ({"parameters": {"binary_data_size": 312}}, "Behind the last input 8 bytes are left over"),
        ({"shape": [39]}, "has 320 bytes, and 39 values of FP64 are 312"),
        ({"shape": [10**15]}, "has 320 bytes"),
        ({"shape": [-40]}, "must have the shape"),
        ({"shape": [40, 2]}, "must have the shape"),
        ({"shape": "40"}, "has a datatype, a shape, and no data"),
        ({"shape": None}, "has a datatype, a shape, and no data"),
        ({"data": [1.0]}, "has a datatype, a shape, and no data"),
        ({"datatype": "FP32"}, "has 320 bytes, and 40 values of FP32 are 160"),
        ({"datatype": "FP65"}, "has a datatype that V2 does not know"),
        ({"datatype": 5}, "has a datatype that V2 does not know"),
        ({"datatype": ["FP64"]}, "has a datatype that V2 does not know"),
        ({"datatype": "BYTES"}, "is not 40 texts"),
        ({"name": "stops"}, "A tensor is there twice"),
        ({"name": 5}, "is not a tensor with a name"),
    ],
)  # fmt: skip
def test_bytes_that_are_not_what_they_are_said_to_be_are_refused(ask, flights_model, raw, change, message):
    body, length = body_of(raw, changes={"distance": change})
    with pytest.raises(Refusal) as refused:
        ask(CODEC, flights_model, body, inference_header_content_length=length)
    assert refused.value.status == 400
    assert message in str(refused.value)


def test_bytes_that_are_left_over_or_lacking_are_refused(ask, flights_model, raw):
    body, length = body_of(raw, extra=b"xyz")
    with pytest.raises(Refusal, match="Behind the last input 3 bytes are left over"):
        ask(CODEC, flights_model, body, inference_header_content_length=length)
    body, length = body_of(raw)
    with pytest.raises(Refusal, match="'booked_at' has 320 bytes, and only 319 are left"):
        ask(CODEC, flights_model, body[:-1], inference_header_content_length=length)


def test_bytes_without_the_header_are_refused(ask, flights_model, raw):
    body, length = body_of(raw)
    with pytest.raises(Refusal, match="'distance' is binary, and the request has no header"):
        ask(CODEC, flights_model, body[: int(length)])


def test_a_value_that_does_not_fit_is_refused_with_its_row(ask, flights_model, raw):
    distances = np.frombuffer(raw["distance"]).copy()
    distances[7] = np.inf
    body, length = body_of({**raw, "distance": distances.tobytes()})
    with pytest.raises(Refusal, match="Column 'distance', row 7: inf is not a finite number") as refused:
        ask(CODEC, flights_model, body, inference_header_content_length=length)
    assert refused.value.status == 422


def test_the_content_type_may_be_octets_only_with_the_header(ask, flights_model, raw, plain):
    body, length = body_of(raw)
    octets = "application/octet-stream"
    assert ask(CODEC, flights_model, body, inference_header_content_length=length, content_type=octets).status == 200
    as_json = json.dumps({"inputs": [{"name": n, "data": v} for n, v in plain.items()]}).encode()
    with pytest.raises(Refusal, match="does not take application/octet-stream"):
        ask(CODEC, flights_model, as_json, content_type=octets)


@pytest.mark.parametrize(
    ("content", "field"),
    [
        ({"parameters": {"binary_data_output": "yes"}}, "parameters"),
        ({"parameters": {"missing": 5}}, "parameters"),
        ({"parameters": {"timeout": -1}}, "parameters"),
        ({"parameters": {"timeout": 1e3}}, "parameters"),
        ({"parameters": {"timeout": 10**30}}, "parameters"),
        ({"parameters": []}, "parameters"),
        ({"outputs": [{"name": "label", "parameters": {"binary_data": 1}}]}, "outputs"),
        ({"outputs": [{"name": "label", "parameters": 1}]}, "outputs"),
        ({"outputs": [{"name": "label", "parameters": {"classification": 2}}]}, "outputs"),
        ({"outputs": [{"name": "label"}, {"name": "label"}]}, "outputs"),
        ({"outputs": [{"name": ["label"]}]}, "outputs"),
    ],
)  # fmt: skip
def test_parameters_of_another_kind_are_refused(ask, flights_model, plain, content, field):
    body = json.dumps({"inputs": [{"name": n, "data": v} for n, v in plain.items()], **content}).encode()
    with pytest.raises(Refusal) as refused:
        ask(CODEC, flights_model, body)
    assert (refused.value.status, refused.value.field) == (400, field)


def test_a_request_may_say_how_long_it_waits(flights_model, plain):
    tensors = [{"name": n, "data": v} for n, v in plain.items()]
    body = json.dumps({"inputs": tensors, "parameters": {"timeout": 250_000}}).encode()
    assert CODEC.read(Request("POST", "/", {}, body, "r1"), flights_model).timeout_s == 0.25
