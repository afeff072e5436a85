"""The Open Inference Protocol as a client of others speaks it."""

from __future__ import annotations

import numpy as np
import pytest

http = pytest.importorskip("tritonclient.http")
InferenceServerException = pytest.importorskip("tritonclient.utils").InferenceServerException

DATATYPES = {"distance": np.float64, "stops": np.int64, "weekend": np.bool_, "carrier": np.object_}


@pytest.fixture
def client(served):
    with http.InferenceServerClient(f"127.0.0.1:{served.port}") as connected:
        yield connected


@pytest.fixture
def rows(features):
    return features.dropna().head(20)


def inputs_of(rows, *, binary):
    arrays = {name: rows[name].to_numpy(dtype) for name, dtype in DATATYPES.items()}
    arrays["booked_at"] = np.array([time.isoformat() for time in rows["booked_at"]], dtype=np.object_)
    tensors = []
    for name, array in arrays.items():
        datatype = {"f": "FP64", "i": "INT64", "b": "BOOL", "O": "BYTES"}[array.dtype.kind]
        tensors.append(http.InferInput(name, [len(array)], datatype))
        tensors[-1].set_data_from_numpy(array, binary_data=binary)
    return tensors


def test_it_finds_the_server_alive_and_the_model_ready(client):
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("flights")
    assert client.is_model_ready("flights", "1")
    assert not client.is_model_ready("other")


def test_it_reads_what_the_server_and_the_model_say(client):
    assert client.get_server_metadata()["name"] == "everfresh"
    assert [tensor["name"] for tensor in client.get_model_metadata("flights")["inputs"]][:2] == ["distance", "stops"]


@pytest.mark.parametrize("binary", [True, False], ids=["asking for binary outputs", "asking for JSON"])
def test_it_gets_the_answers_of_the_pipeline(client, v1, rows, binary):
    wanted = [http.InferRequestedOutput(name, binary_data=binary) for name in ("probabilities", "label")]
    result = client.infer("flights", inputs_of(rows, binary=False), outputs=wanted, request_id="seven")
    expected = v1.answer(rows)
    np.testing.assert_allclose(result.as_numpy("probabilities"), expected, rtol=0, atol=1e-12)
    assert result.as_numpy("label").tolist() == [("late", "on time")[i] for i in expected.argmax(axis=1)]
    assert result.get_response()["id"] == "seven"


def test_it_gets_all_outputs_where_it_names_none(client, rows):
    result = client.infer("flights", inputs_of(rows, binary=False))
    assert result.as_numpy("probabilities").shape == (20, 2)


def refusal_of(client, inputs):
    with pytest.raises(InferenceServerException) as refused:
        client.infer("flights", inputs)
    return str(refused.value)


def test_binary_tensors_are_refused_in_words(client, rows):
    assert "Tensors are taken as JSON only" in refusal_of(client, inputs_of(rows, binary=True))


def test_a_wrong_column_is_refused_in_words(client, rows):
    colour = http.InferInput("colour", [1], "FP64")
    colour.set_data_from_numpy(np.ones(1), binary_data=False)
    said = refusal_of(client, [*inputs_of(rows, binary=False), colour])
    assert said.startswith("[422] The model does not know the column 'colour'")
