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


@pytest.mark.parametrize("sent", [True, False], ids=["bytes sent", "JSON sent"])
@pytest.mark.parametrize("wanted", [True, False], ids=["bytes wanted", "JSON wanted"])
def test_it_gets_the_answers_of_the_pipeline(client, v1, rows, sent, wanted):
    outputs = [http.InferRequestedOutput(name, binary_data=wanted) for name in ("probabilities", "label")]
    result = client.infer("flights", inputs_of(rows, binary=sent), outputs=outputs, request_id="seven")
    expected = v1.answer(rows)
    np.testing.assert_allclose(result.as_numpy("probabilities"), expected, rtol=0, atol=1e-12)
    labels = [("late", "on time")[best] for best in expected.argmax(axis=1)]
    # Of bytes the client does not know that they are text.
    assert result.as_numpy("label").tolist() == ([label.encode() for label in labels] if wanted else labels)
    assert result.get_response()["id"] == "seven"


@pytest.mark.parametrize(
    ("dtype", "datatype"),
    [(np.float32, "FP32"), (np.float16, "FP16"), (np.int32, "INT32"), (np.uint64, "UINT64"), (np.int8, "INT8")],
)
def test_numbers_of_every_width_mean_the_same(client, v1, rows, dtype, datatype):
    whole = rows.assign(distance=rows["distance"].floordiv(20))
    inputs = inputs_of(whole, binary=True)
    inputs[0] = http.InferInput("distance", [len(whole)], datatype)
    inputs[0].set_data_from_numpy(whole["distance"].to_numpy(dtype))
    result = client.infer("flights", inputs)
    np.testing.assert_allclose(result.as_numpy("probabilities"), v1.answer(whole), rtol=0, atol=1e-12)


def test_a_thousand_rows_of_bytes_get_the_answers_of_the_pipeline(client, v1, flights):
    many = flights.dropna()[["distance", "stops", "weekend", "carrier", "booked_at"]]
    many = many.loc[many.index.repeat(3)].head(1000)
    result = client.infer("flights", inputs_of(many, binary=True))
    np.testing.assert_allclose(result.as_numpy("probabilities"), v1.answer(many), rtol=0, atol=1e-12)
    assert len(set(result.as_numpy("id").tolist())) == 1000


def test_it_gets_all_outputs_where_it_names_none(client, rows):
    result = client.infer("flights", inputs_of(rows, binary=False))
    assert result.as_numpy("probabilities").shape == (20, 2)


def refusal_of(client, inputs):
    with pytest.raises(InferenceServerException) as refused:
        client.infer("flights", inputs)
    return str(refused.value)


def test_a_wrong_column_is_refused_in_words(client, rows):
    colour = http.InferInput("colour", [1], "FP64")
    colour.set_data_from_numpy(np.ones(1), binary_data=False)
    said = refusal_of(client, [*inputs_of(rows, binary=False), colour])
    assert said.startswith("[422] The model does not know the column 'colour'")


def test_shared_memory_is_refused_in_words(client, rows):
    inputs = inputs_of(rows, binary=True)
    inputs[0].set_shared_memory("region", 160)
    assert "'distance' has no list of data" in refusal_of(client, inputs)


def test_the_extension_is_announced(client):
    assert client.get_server_metadata()["extensions"] == ["binary_tensor_data"]
