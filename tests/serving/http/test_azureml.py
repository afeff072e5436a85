"""Azure ML's scoring contract, as azureml-inference-server-http 1.5.1 has it where it has an opinion."""

from __future__ import annotations

import json

import numpy as np
import pytest

from everfresh.serving.http.azureml import CODEC, healthy, ids_of, refuse
from everfresh.serving.refusals import Refusal, UnknownColumns


def rows_of(plain):
    return [list(row) for row in zip(*plain.values(), strict=True)]


def records_of(plain):
    return [dict(zip(plain, row, strict=True)) for row in rows_of(plain)]


def labels_of(v1, features):
    return [("late", "on time")[best] for best in v1.answer(features).argmax(axis=1)]


BARE = {
    "input_data, split": lambda p: {"input_data": {"columns": list(p), "index": list(range(40)), "data": rows_of(p)}},
    "input_data, split without an index": lambda p: {"input_data": {"columns": list(p), "data": rows_of(p)}},
    "input_data, rows": lambda p: {"input_data": rows_of(p)},
    "input_data, columns": lambda p: {"input_data": p},
    "data, records": lambda p: {"data": records_of(p)},
    "data, rows": lambda p: {"data": rows_of(p)},
}
IN_RESULTS = {
    "Inputs, data": lambda p: {"Inputs": {"data": records_of(p)}, "GlobalParameters": 1.0},
    "Inputs, of the designer": lambda p: {"Inputs": {"WebServiceInput0": records_of(p)}, "GlobalParameters": {}},
    "Inputs alone": lambda p: {"Inputs": {"data": rows_of(p)}},
}


@pytest.mark.parametrize("form", BARE)
def test_a_list_of_labels_comes_bare(ask, flights_model, v1, features, plain, form):
    assert json.loads(ask(CODEC, flights_model, json.dumps(BARE[form](plain)).encode()).body) == labels_of(v1, features)


@pytest.mark.parametrize("form", IN_RESULTS)
def test_automls_form_is_answered_with_results(ask, flights_model, v1, features, plain, form):
    answered = json.loads(ask(CODEC, flights_model, json.dumps(IN_RESULTS[form](plain)).encode()).body)
    assert answered == {"Results": labels_of(v1, features)}


@pytest.mark.parametrize(
    "asked",
    [
        lambda p: {"Inputs": {"data": records_of(p)}, "GlobalParameters": {"method": "predict_proba"}},
        lambda p: {"input_data": rows_of(p), "params": {"probabilities": True}},
    ],
)
def test_probabilities_come_where_they_are_asked_for(ask, flights_model, v1, features, plain, asked):
    answered = json.loads(ask(CODEC, flights_model, json.dumps(asked(plain)).encode()).body)
    found = answered["Results"] if isinstance(answered, dict) else answered
    np.testing.assert_allclose(found, v1.answer(features), rtol=0, atol=1e-12)


def test_a_regression_answers_with_values(ask, minutes_model, minutes, features, plain):
    answered = json.loads(ask(CODEC, minutes_model, json.dumps({"data": records_of(plain)}).encode()).body)
    np.testing.assert_allclose(answered, minutes.answer(features), rtol=1e-12)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, None),
        ({"data": [], "input_data": []}, None),
        ({"data": [{"distance": 1}], "more": 1}, None),
        ({"data": "x"}, "data"),
        ({"input_data": {"columns": 5, "data": []}}, "input_data"),
        ({"Inputs": {}}, "Inputs"),
        ({"Inputs": {"a": [], "b": []}}, "Inputs"),
        ({"Inputs": [1]}, "Inputs"),
        ({"data": [{}], "GlobalParameters": {"method": "explain"}}, "GlobalParameters"),
        ({"data": [{}], "GlobalParameters": {"method": ["predict"]}}, "GlobalParameters"),
        ({"data": [{}], "GlobalParameters": {"threshold": 1}}, "GlobalParameters"),
        ({"data": [{}], "params": {"probabilities": "yes"}}, "params"),
        ({"data": [{}], "params": []}, "params"),
    ],
)
def test_what_is_no_scoring_request_is_refused(ask, flights_model, body, field):
    with pytest.raises(Refusal) as refused:
        ask(CODEC, flights_model, json.dumps(body).encode())
    assert (refused.value.status, refused.value.field) == (400, field)


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        ({}, {}),
        ({"x-ms-client-request-id": "c"}, {"x-ms-request-id": "c", "x-ms-client-request-id": "c"}),
        ({"x-ms-request-id": "r"}, {"x-ms-request-id": "r", "x-ms-client-request-id": "r"}),
        (
            {"x-ms-request-id": "r", "x-ms-client-request-id": "c"},
            {"x-ms-request-id": "r", "x-ms-client-request-id": "c"},
        ),
    ],
)
def test_azures_ids_come_back_as_azures_own_server_gives_them_back(sent, told):
    assert ids_of(sent) == told


@pytest.mark.parametrize("name", ["x-ms-request-id", "x-ms-client-request-id"])
@pytest.mark.parametrize("value", ["x" * 101, "a\nb", "\x1b[31m", "é"])
def test_an_id_that_is_not_fit_for_a_log_is_refused(name, value):
    with pytest.raises(Refusal, match=f"The header {name}"):
        ids_of({name: value})


def test_an_error_is_a_message():
    answered = refuse(UnknownColumns(["colour"], ["distance"]), "r1")
    assert answered.status == 422
    content = json.loads(answered.body)
    assert content["message"] == content["error"] == "The model does not know the column 'colour'; it reads distance."
    assert answered.headers["x-ms-request-id"] == "r1"


def test_a_server_scores_and_is_healthy(served, plain, v1, features):
    assert (served.get("/").status_code, served.get("/").text) == (200, "Healthy")
    headers = {"x-model": "flights", "x-ms-client-request-id": "mine"}
    answered = served.post("/score", json={"data": records_of(plain)}, headers=headers)
    assert answered.json() == labels_of(v1, features)
    assert answered.headers["x-ms-client-request-id"] == "mine"
    assert answered.headers["x-ms-run-function-failed"] == "False"
    assert served.post("/score", json={"data": [{"x": 1}]}, headers=headers).status_code == 422


def test_a_server_without_a_model_is_not_healthy():
    assert (healthy(False).status, healthy(False).body) == (503, b"Not ready")
