"""TensorFlow Serving's REST API: its shapes, its sentences and its statuses."""

from __future__ import annotations

import base64
import json

import numpy as np
import pytest

from everfresh.data.columns import Column
from everfresh.packaging.manifest import Manifest
from everfresh.serving.http.messages import Request
from everfresh.serving.http.tfserving import CODECS, MalformedPath, refuse
from everfresh.serving.refusals import Refusal, UnknownModel, UnsupportedContent
from everfresh.serving.versions.models import LoadedModel


def records_of(plain):
    return [dict(zip(plain, row, strict=True)) for row in zip(*plain.values(), strict=True)]


def b64(text):
    return {"b64": base64.b64encode(text.encode()).decode()}


def asked(ask, model, content, method="predict", **headers):
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return json.loads(ask(CODECS[method], model, body, **headers).body)


def test_rows_are_answered_with_an_object_each(ask, flights_model, v1, features, plain):
    predictions = asked(ask, flights_model, {"instances": records_of(plain)})["predictions"]
    expected = v1.answer(features)
    np.testing.assert_allclose([row["probabilities"] for row in predictions], expected, rtol=0, atol=1e-12)
    assert [row["label"] for row in predictions] == [("late", "on time")[best] for best in expected.argmax(axis=1)]


def test_columns_are_answered_with_columns(ask, flights_model, plain):
    by_row = asked(ask, flights_model, {"instances": records_of(plain)})["predictions"]
    outputs = asked(ask, flights_model, {"inputs": plain, "signature_name": "serving_default"})["outputs"]
    assert outputs == {name: [row[name] for row in by_row] for name in ("probabilities", "label")}


def test_one_output_comes_bare(ask, minutes_model, minutes, features, plain):
    predictions = asked(ask, minutes_model, {"instances": records_of(plain)})["predictions"]
    np.testing.assert_allclose(predictions, minutes.answer(features), rtol=1e-12)
    assert asked(ask, minutes_model, {"inputs": plain}) == {"outputs": predictions}


def test_values_may_stand_in_lists_of_one_and_texts_in_base_64(ask, flights_model, plain):
    nested = {
        name: [[b64(value)] if isinstance(value, str) and name == "carrier" else [value] for value in values]
        for name, values in plain.items()
    }
    assert asked(ask, flights_model, {"inputs": nested}) == asked(ask, flights_model, {"inputs": plain})
    assert asked(ask, flights_model, {"instances": records_of(nested)}) == asked(
        ask, flights_model, {"instances": records_of(plain)}
    )


def test_nan_is_a_missing_value(ask, flights_model, plain):
    gaps = {**plain, "distance": [None, *plain["distance"][1:]]}
    body = json.dumps({"inputs": gaps}).replace("[null", "[NaN", 1).encode()
    assert b"NaN" in body
    assert asked(ask, flights_model, body) == asked(ask, flights_model, {"inputs": gaps})


def test_classes_come_with_their_probabilities(ask, flights_model, v1, features, plain):
    results = asked(ask, flights_model, {"examples": records_of(plain)}, "classify")["results"]
    assert [[label for label, _ in row] for row in results] == [["late", "on time"]] * 40
    found = [[score for _, score in row] for row in results]
    np.testing.assert_allclose(found, v1.answer(features), rtol=0, atol=1e-12)


def test_values_come_one_by_one(ask, minutes_model, minutes, features, plain):
    results = asked(ask, minutes_model, {"examples": records_of(plain)}, "regress")["results"]
    np.testing.assert_allclose(results, minutes.answer(features), rtol=1e-12)


def test_what_examples_have_in_common_may_be_said_once(ask, flights_model, plain):
    common = {**records_of(plain)[0], "carrier": "AA"}
    examples = [{"distance": [distance] if distance is not None else []} for distance in plain["distance"]]
    expected = [{**common, "distance": distance} for distance in plain["distance"]]
    assert asked(ask, flights_model, {"context": common, "examples": examples}, "classify") == asked(
        ask, flights_model, {"examples": expected}, "classify"
    )


@pytest.fixture(scope="module")
def of_one_column(flights_model):
    """The model, as if it read the carrier alone."""
    facts = {**flights_model.manifest.__dict__, "columns": (Column("carrier", "category"),)}
    return LoadedModel(
        flights_model.name, 1, Manifest(**facts), scorer=flights_model.scorer, reader=flights_model.reader
    )


@pytest.mark.parametrize(
    "content",
    [
        {"instances": ["AA", b64("UA"), None]},
        {"instances": [["AA"], [b64("UA")], [None]]},
        {"instances": [b64("AA"), "UA", None]},
        {"instances": [{"carrier": "AA"}, {"carrier": b64("UA")}, {"carrier": None}]},
        {"inputs": ["AA", b64("UA"), None]},
        {"inputs": {"carrier": ["AA", "UA", None]}},
    ],
)
def test_the_column_of_a_model_that_has_one_need_not_be_named(of_one_column, content):
    request = Request("POST", "/", {}, json.dumps(content).encode(), "r1")
    assert CODECS["predict"].read(request, of_one_column).table == {"carrier": ["AA", "UA", None]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "one of the keys instances and inputs"),
        ({"instances": [1], "inputs": [1]}, "one of the keys instances and inputs"),
        ({"instances": [1], "more": 1}, "and no others"),
        ([1], "not a JSON object"),
        ({"instances": {"distance": [1]}}, "instances is not a list"),
        ({"instances": []}, "has no rows"),
        ({"instances": [1]}, "instances must name the columns, for the model has several: distance, stops"),
        ({"instances": [{"distance": 1}, 5]}, "Row 1 is not an object"),
        ({"inputs": [1]}, "inputs must name the columns"),
        ({"inputs": {"distance": [[1, 2]]}}, "Column 'distance', row 0: a list is not one value"),
        ({"inputs": {"distance": [[]]}}, "Column 'distance', row 0: a list is not one value"),
        ({"inputs": {"carrier": [{"b64": "%"}]}}, "is not base 64 of text in UTF-8"),
        ({"inputs": {"carrier": [{"b64": "/w=="}]}}, "is not base 64 of text in UTF-8"),
        ({"inputs": {"distance": [1]}, "signature_name": "other"}, "There is no signature 'other'"),
        ({"inputs": {"distance": [1]}, "signature_name": 5}, "There is no signature"),
        (b'{"inputs": {"distance": [Infinity]}}', "Infinity is no value of a column"),
        (b'{"inputs": {"distance": [1]}, "inputs": {"distance": [2]}}', "The key 'inputs' is there twice"),
        ({"inputs": {"distance": [1]}}, "lacks the columns"),
    ],
)  # fmt: skip
def test_what_is_no_prediction_request_is_refused_with_400(ask, flights_model, content, message):
    with pytest.raises(Refusal) as refused:
        asked(ask, flights_model, content)
    answered = refuse(refused.value, "r1")
    assert answered.status == 400
    told = json.loads(answered.body)
    assert list(told) == ["error"]
    assert message in told["error"]


@pytest.mark.parametrize(
    "content",
    [{}, {"examples": []}, {"examples": {}}, {"examples": [1]}, {"examples": [{}], "context": 5}, {"examples": [{}]}],
)
def test_what_are_no_examples_is_refused(ask, flights_model, content):
    with pytest.raises(Refusal) as refused:
        asked(ask, flights_model, content, "classify")
    assert 400 <= refused.value.status < 500


def test_a_regression_does_not_classify_nor_the_other_way_round(ask, flights_model, minutes_model, plain):
    with pytest.raises(Refusal, match="'minutes' is a regression and does not classify; call :predict"):
        asked(ask, minutes_model, {"examples": records_of(plain)}, "classify")
    with pytest.raises(Refusal, match="'flights' is a classification and does not regress"):
        asked(ask, flights_model, {"examples": records_of(plain)}, "regress")


def test_the_body_may_be_said_to_be_a_form_as_curl_says(ask, flights_model, plain):
    form = "application/x-www-form-urlencoded"
    assert asked(ask, flights_model, {"inputs": plain}, content_type=form)["outputs"]
    with pytest.raises(Refusal, match="does not take application/x-pickle") as refused:
        asked(ask, flights_model, {"inputs": plain}, content_type="application/x-pickle")
    assert refuse(refused.value, "r1").status == 400


def test_statuses_are_those_of_tensorflow_serving():
    assert refuse(UnknownModel("x", []), "r1").status == 404
    assert refuse(UnsupportedContent("x", ["y"]), "r1").status == 400
    malformed = MalformedPath("PUT", "/v1/models/flights")
    assert (malformed.status, str(malformed)) == (400, "Malformed request: PUT /v1/models/flights")


def test_a_server_tells_its_versions(served):
    status = {"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    for path in ("/v1/models/flights", "/v1/models/flights/versions/1"):
        assert served.get(path).json() == {"model_version_status": [status]}
    for path in ("/v1/models/none", "/v1/models/flights/versions/7", "/v1/models/flights/labels/none/metadata"):
        refused = served.get(path)
        assert (refused.status_code, list(refused.json())) == (404, ["error"])


def test_a_server_tells_what_a_model_reads_and_answers(served):
    told = served.get("/v1/models/flights/metadata").json()
    assert told["model_spec"] == {"name": "flights", "signature_name": "", "version": "1"}
    signature = told["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert {name: tensor["dtype"] for name, tensor in signature["inputs"].items()} == {
        "distance": "DT_DOUBLE",
        "stops": "DT_INT64",
        "weekend": "DT_BOOL",
        "carrier": "DT_STRING",
        "booked_at": "DT_STRING",
    }
    sizes = [dimension["size"] for dimension in signature["outputs"]["probabilities"]["tensor_shape"]["dim"]]
    assert sizes == ["-1", "2"]


@pytest.mark.parametrize("path", ["/v1/models/flights", "/v1/models/flights/versions/1"])
def test_a_server_answers_each_method(served, plain, path):
    rows = records_of(plain)
    predictions = served.post(f"{path}:predict", json={"instances": rows}).json()["predictions"]
    results = served.post(f"{path}:classify", json={"examples": rows}).json()["results"]
    assert [dict(row)["late"] for row in results] == [row["probabilities"][0] for row in predictions]
    assert served.post(f"{path}:regress", json={"examples": rows}).status_code == 400
    assert served.post("/v1/models/minutes:regress", json={"examples": rows}).status_code == 200
