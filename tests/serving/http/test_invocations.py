from __future__ import annotations

import numpy as np
import pytest

from everfresh.data.columns import plain_text


def invoke(served, model="flights", **options):
    headers = {"x-model": model, **options.pop("headers", {})}
    return served.post("/invocations", headers=headers, **options)


def rows_of(plain):
    return [list(row) for row in zip(*plain.values(), strict=True)]


def records_of(plain):
    return [dict(zip(plain, row, strict=True)) for row in rows_of(plain)]


def forms(plain):
    return {
        "dataframe_split": {"dataframe_split": {"columns": list(plain), "data": rows_of(plain)}},
        "dataframe_split with an index": {
            "dataframe_split": {"columns": list(plain), "index": list(range(40)), "data": rows_of(plain)}
        },
        "dataframe_records": {"dataframe_records": records_of(plain)},
        "instances, records": {"instances": records_of(plain)},
        "instances, rows in the model's order": {"instances": rows_of(plain)},
        "inputs, columns": {"inputs": plain},
        "inputs, records": {"inputs": records_of(plain)},
        "inputs, rows in the model's order": {"inputs": rows_of(plain)},
    }


FORMS = list(forms({"a": []}))


@pytest.mark.parametrize("form", FORMS)
def test_each_form_gets_the_labels_of_the_pipeline(served, v1, features, plain, form):
    answered = invoke(served, json=forms(plain)[form])
    assert answered.status_code == 200, answered.text
    expected = [("late", "on time")[i] for i in v1.answer(features).argmax(axis=1)]
    assert answered.json() == {"predictions": expected}
    assert (answered.headers["x-model"], answered.headers["x-model-version"]) == ("flights", "1")


@pytest.mark.parametrize("form", FORMS)
def test_probabilities_come_where_they_are_asked_for(served, v1, features, plain, form):
    answered = invoke(served, json={**forms(plain)[form], "params": {"probabilities": True}})
    np.testing.assert_allclose(answered.json()["predictions"], v1.answer(features), rtol=0, atol=1e-12)


def test_a_regression_answers_with_values(served, minutes, features, plain):
    answered = invoke(served, "minutes", json={"inputs": plain})
    np.testing.assert_allclose(answered.json()["predictions"], minutes.answer(features), rtol=1e-12)


def test_single_values_are_a_single_row(served, plain):
    answered = invoke(served, json={"inputs": {name: values[0] for name, values in plain.items()}})
    assert len(answered.json()["predictions"]) == 1


def csv_of(plain):
    lines = [",".join(plain)]
    lines += [",".join("" if value is None else str(plain_text(value)) for value in row) for row in rows_of(plain)]
    return "\n".join(lines).encode()


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "as Excel writes it"])
def test_a_csv_table_gets_the_same_answer(served, plain, mark):
    sent = invoke(served, content=mark + csv_of(plain), headers={"content-type": "text/csv; charset=utf-8"})
    assert sent.status_code == 200, sent.text
    assert sent.json() == invoke(served, json={"inputs": plain}).json()


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        (b"", 400, "The request has no rows."),
        (b"distance\n", 422, "lacks the columns"),
        (b"a,a\n1,2\n", 422, "each is there once"),
        (b"a,b\n1\n", 422, "Row 0 is not a list of 2 values"),
        (b"distance,stops\n1,two\n", 422, "Column 'stops', row 0: 'two' is not a number"),
        (b"distance,stops\n1,nan\n", 422, "Column 'stops', row 0: 'nan' is not a number"),
        (b"distance\n\xff\n", 400, "not UTF-8"),
        (b'distance\n"1\n', 400, "not CSV"),
    ],
)
def test_what_is_no_csv_table_is_refused(served, body, status, message):
    refused = invoke(served, content=body, headers={"content-type": "text/csv"})
    assert refused.status_code == status
    assert message in refused.json()["error"]


def test_a_csv_time_is_read_as_in_json_and_a_wrong_one_refused(served, plain):
    one = {name: values[:1] for name, values in plain.items()}
    refused = invoke(served, content=csv_of({**one, "booked_at": ["noon"]}), headers={"content-type": "text/csv"})
    assert refused.status_code == 422
    assert "Column 'booked_at', row 0: 'noon' is not a time" in refused.json()["error"]


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({}, 400, None),
        ({"rows": []}, 400, None),
        ({"inputs": {}, "instances": []}, 400, None),
        ({"inputs": 5}, 400, "inputs"),
        ({"instances": {"distance": [1]}}, 400, "instances"),
        ({"instances": []}, 400, None),
        ({"instances": [1]}, 422, None),
        ({"instances": [[1]]}, 422, None),
        ({"instances": [{"distance": 1}, 5]}, 422, None),
        ({"dataframe_split": []}, 400, "dataframe_split"),
        ({"dataframe_split": {"columns": ["distance"]}}, 400, "dataframe_split"),
        ({"dataframe_split": {"columns": "distance", "data": []}}, 400, "dataframe_split"),
        ({"dataframe_split": {"columns": ["distance"], "data": [[1]], "more": 1}}, 400, "dataframe_split"),
        ({"dataframe_split": {"columns": [5], "data": [[1]]}}, 422, None),
        ({"dataframe_records": "x"}, 400, "dataframe_records"),
        ({"inputs": {"distance": [1]}, "params": {"other": 1}}, 400, "params"),
        ({"inputs": {"distance": [1]}, "params": 5}, 400, "params"),
        ({"inputs": {"distance": [1]}}, 422, "stops"),
        ([1], 400, None),
        (5, 400, None),
    ],
)
def test_what_is_no_scoring_request_is_refused(served, body, status, field):
    refused = invoke(served, json=body)
    assert refused.status_code == status, refused.text
    assert refused.json().get("field") == field


def test_a_body_of_another_kind_is_refused(served):
    refused = invoke(served, content=b"x", headers={"content-type": "application/parquet"})
    assert refused.status_code == 415
    assert "application/json or text/csv" in refused.json()["error"]


def test_a_server_of_several_models_asks_which(served, plain):
    refused = served.post("/invocations", json={"inputs": plain})
    assert refused.status_code == 400
    assert refused.json()["code"] == "which_model"
    assert "X-Model" in refused.json()["error"]


def test_an_unknown_model_is_not_found(served, plain):
    assert invoke(served, "other", json={"inputs": plain}).status_code == 404
