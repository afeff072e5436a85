"""The client that others wrote for the protocol talks to the server."""

from __future__ import annotations

import queue

import numpy as np
import pytest
from tritonclient import grpc as triton
from tritonclient.utils import InferenceServerException

from everfresh.serving.grpc import messages


@pytest.fixture
def client(shared):
    with triton.InferenceServerClient(f"127.0.0.1:{shared.port}") as client:
        yield client


def inputs(features, rows=slice(None)):
    """The rows as this client sends them; what is missing of a time is sent in seconds."""
    part = features[rows]
    booked = part["booked_at"].to_numpy("datetime64[us]")
    seconds = np.where(np.isnat(booked), np.nan, booked.astype(np.int64) / 1e6)
    columns = {
        "distance": part["distance"].to_numpy(np.float64),
        "stops": part["stops"].to_numpy(np.int64),
        "weekend": part["weekend"].to_numpy(np.bool_),
        "carrier": part["carrier"].fillna("?").to_numpy(object),
        "booked_at": seconds,
    }
    datatypes = {"distance": "FP64", "stops": "INT64", "weekend": "BOOL", "carrier": "BYTES", "booked_at": "FP64"}
    tensors = []
    for name, values in columns.items():
        tensors.append(triton.InferInput(name, list(values.shape), datatypes[name]))
        tensors[-1].set_data_from_numpy(values)
    return tensors


def test_its_answers_are_those_of_the_pipeline_down_to_the_last_bits(client, features, v1):
    result = client.infer("flights", inputs(features), request_id="mine", parameters={"missing": "?"})
    expected = v1.answer(features)
    np.testing.assert_allclose(result.as_numpy("probabilities"), expected, rtol=0, atol=1e-12)
    assert [label.decode() for label in result.as_numpy("label")] == [
        v1.bundle.manifest.classes[place] for place in expected.argmax(axis=1)
    ]
    assert result.as_numpy("id")[:2].tolist() == [b"mine-0", b"mine-1"]
    assert result.get_response().id == "mine"


def test_a_few_rows_and_many_answer_alike(client, features, v1):
    few = client.infer("flights", inputs(features, slice(3)), parameters={"missing": "?"})
    np.testing.assert_allclose(few.as_numpy("probabilities"), v1.answer(features[:3]), rtol=0, atol=1e-12)


def test_a_large_request_is_answered_in_a_thread(client, flights, features, minutes):
    many = flights[features.columns].sample(5_000, replace=True, random_state=1)
    result = client.infer("minutes", inputs(many), parameters={"missing": "?"})
    np.testing.assert_allclose(result.as_numpy("value"), minutes.answer(many), rtol=1e-12)


def test_a_model_without_a_plan_answers_too(client, features, neighbours):
    result = client.infer("neighbours", inputs(features), parameters={"missing": "?"})
    np.testing.assert_allclose(result.as_numpy("probabilities"), neighbours.answer(features), rtol=0, atol=1e-12)


def test_a_version_answers_by_number_and_by_alias(client, features, v2):
    for version in ("2", "canary"):
        result = client.infer("flights", inputs(features), model_version=version, parameters={"missing": "?"})
        assert result.get_response().model_version == "2"
        np.testing.assert_allclose(result.as_numpy("probabilities"), v2.answer(features), rtol=0, atol=1e-12)


def test_only_the_outputs_that_are_asked_for_come(client, features):
    wanted = [triton.InferRequestedOutput("label")]
    result = client.infer("flights", inputs(features), outputs=wanted, parameters={"missing": "?"})
    assert [output.name for output in result.get_response().outputs] == ["label"]


def test_health_and_metadata(client):
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("flights")
    assert client.is_model_ready("flights", "2")
    assert not client.is_model_ready("flights", "9")
    assert not client.is_model_ready("no such model")
    assert client.get_server_metadata().name == "everfresh"
    metadata = client.get_model_metadata("flights", as_json=True)
    assert metadata["versions"] == ["1", "2"]
    assert metadata["inputs"][0] == {"name": "distance", "datatype": "FP64", "shape": ["-1"]}
    assert metadata["outputs"][0] == {"name": "probabilities", "datatype": "FP64", "shape": ["-1", "2"]}
    index = client.get_model_repository_index(as_json=True)["models"]
    assert [(model["name"], model["version"], model["state"]) for model in index] == [
        ("flights", "1", "READY"),
        ("flights", "2", "READY"),
        ("minutes", "1", "READY"),
        ("neighbours", "1", "READY"),
    ]


def test_a_refusal_reaches_it_as_a_status_and_a_sentence(client, features):
    with pytest.raises(InferenceServerException) as refused:
        client.infer("flights", inputs(features)[1:])
    assert refused.value.status() == "StatusCode.INVALID_ARGUMENT"
    assert refused.value.message() == "The request lacks the column 'distance'."


def test_what_the_server_leaves_out_is_said_to_be_unimplemented(client):
    with pytest.raises(InferenceServerException) as refused:
        client.load_model("flights")
    assert refused.value.status() == "StatusCode.UNIMPLEMENTED"


def test_many_requests_on_one_stream_are_answered_in_order_and_a_bad_one_does_not_end_it(client, features, v1):
    heard = queue.Queue()
    client.start_stream(callback=lambda result, error: heard.put((result, error)))
    for rows in (slice(2), slice(2, 5)):
        client.async_stream_infer("flights", inputs(features, rows), parameters={"missing": "?"})
    client.async_stream_infer("no such model", inputs(features, slice(1)))
    client.async_stream_infer("flights", inputs(features, slice(1)), request_id="last", parameters={"missing": "?"})
    (two, _), (three, _), (_, error), (last, _) = (heard.get(timeout=10) for _ in range(4))
    client.stop_stream()
    answers = np.vstack([two.as_numpy("probabilities"), three.as_numpy("probabilities")])
    np.testing.assert_allclose(answers, v1.answer(features[:5]), rtol=0, atol=1e-12)
    assert "no such model" in error.message()
    assert last.get_response().id == "last"
    assert two.get_response().id != three.get_response().id


def test_the_client_means_the_same_by_every_field_that_both_know():
    """Its descriptions are the protocol's: name, number and type of each field are what is on the wire."""
    theirs = triton.service_pb2.DESCRIPTOR
    ours = messages.pool().FindFileByName("inference.proto")
    for name, kind in ours.message_types_by_name.items():
        compare(kind, theirs.message_types_by_name[name])
    for method in ours.services_by_name["GRPCInferenceService"].methods:
        other = theirs.services_by_name["GRPCInferenceService"].methods_by_name[method.name]
        assert (method.input_type.full_name, method.output_type.full_name, method.client_streaming) == (
            other.input_type.full_name,
            other.output_type.full_name,
            other.client_streaming,
        )


# Of the protocol's own file, and no part of Triton's.
_NOT_TRITON = {"inference.ModelMetadataResponse.properties"}


def compare(ours, theirs):
    for field in ours.fields:
        if field.full_name in _NOT_TRITON:
            assert field.number not in theirs.fields_by_number
            continue
        other = theirs.fields_by_name[field.name]
        assert (field.number, field.type, field.is_repeated) == (other.number, other.type, other.is_repeated), (
            field.full_name
        )
        if field.message_type is not None and field.message_type.containing_type is ours:
            compare(field.message_type, other.message_type)
