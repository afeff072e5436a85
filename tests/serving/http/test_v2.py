from __future__ import annotations

import numpy as np
import pytest

from everfresh.data.inference_log import read_log
from everfresh.serving.versions.state import inference_root


def tensors(plain, **changes):
    return {"inputs": [{"name": name, "data": values} for name, values in {**plain, **changes}.items()]}


def outputs(response):
    return {tensor["name"]: tensor for tensor in response.json()["outputs"]}


def infer(served, body, model="flights"):
    return served.post(f"/v2/models/{model}/infer", json=body)


@pytest.mark.parametrize("model", ["flights", "neighbours"])
def test_a_classifier_answers_as_the_pipeline_in_this_process(served, v1, neighbours, features, plain, model):
    answered = infer(served, tensors(plain), model)
    assert answered.status_code == 200, answered.text
    fitted = {"flights": v1, "neighbours": neighbours}[model]
    expected = fitted.answer(features)
    found = outputs(answered)
    assert found["probabilities"]["shape"] == [40, 2]
    np.testing.assert_allclose(np.reshape(found["probabilities"]["data"], (40, 2)), expected, rtol=0, atol=1e-12)
    assert found["label"]["data"] == [fitted.bundle.manifest.classes[i] for i in expected.argmax(axis=1)]


def test_a_regression_answers_as_the_pipeline_in_this_process(served, minutes, features, plain):
    found = outputs(infer(served, tensors(plain), "minutes"))
    assert list(found) == ["value", "id"]
    np.testing.assert_allclose(found["value"]["data"], minutes.answer(features), rtol=1e-12)


def test_an_answer_names_its_model_version_request_and_rows(served, plain):
    answered = served.post(
        "/v2/models/flights/versions/1/infer", json=tensors(plain), headers={"x-request-id": "r1"}
    ).json()
    assert (answered["model_name"], answered["model_version"], answered["id"]) == ("flights", "1", "r1")
    assert answered["outputs"][2]["data"][:2] == ["r1-0", "r1-1"]


def test_the_requests_own_id_wins(served, plain):
    assert infer(served, {**tensors(plain), "id": "mine"}).json()["id"] == "mine"


@pytest.mark.parametrize("wrong", [5, "x" * 129, "a\nb", ["a"]])
def test_what_is_no_request_id_is_refused(served, plain, wrong):
    refused = infer(served, {**tensors(plain), "id": wrong})
    assert refused.status_code == 400
    assert refused.json()["field"] == "id"


def test_rows_that_have_ids_are_not_given_others(served, plain):
    ids = [f"row {row}" for row in range(40)]
    assert [output["name"] for output in infer(served, tensors(plain, flight_id=ids)).json()["outputs"]] == [
        "probabilities",
        "label",
    ]


def test_a_client_may_ask_for_some_outputs(served, plain):
    answered = infer(served, {**tensors(plain), "outputs": [{"name": "label"}]})
    assert list(outputs(answered)) == ["label"]


@pytest.mark.parametrize("wanted", [[{"name": "other"}], "label", 5, [5], {"name": "label"}, {}, "", 0, False])
def test_outputs_that_are_not_there_are_refused(served, plain, wanted):
    refused = infer(served, {**tensors(plain), "outputs": wanted})
    assert refused.status_code == 400
    assert refused.json()["field"] == "outputs"


def test_a_tensor_may_be_a_column_of_a_matrix(served, plain):
    nested = {name: [[value] for value in values] for name, values in plain.items()}
    body = {"inputs": [{"name": n, "shape": [40, 1], "datatype": "FP64", "data": v} for n, v in nested.items()]}
    assert outputs(infer(served, body))["label"] == outputs(infer(served, tensors(plain)))["label"]


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (None, 'no list "inputs"'),
        ({"name": "distance"}, 'no list "inputs"'),
        ([1], "Input 0 is not a tensor with a name"),
        ([{"name": 5, "data": [1]}], "Input 0 is not a tensor with a name"),
        ([{"name": "distance"}], "'distance' has no list of data"),
        ([{"name": "distance", "data": {}}], "'distance' has no list of data"),
        ([{"name": "distance", "data": [1], "parameters": 5}] * 2, "A tensor is there twice"),
        ([{"name": "distance", "data": [[1, 2]]}], "one value in each row"),
        ([{"name": "distance", "data": [[1], 2]}], "one value in each row"),
        ([{"name": "distance", "data": [1], "shape": [2]}], "has 1 values, and another shape"),
        ([{"name": "distance", "data": [1], "shape": "x"}], "has 1 values, and another shape"),
    ],
)
def test_what_is_no_v2_request_is_refused(served, inputs, message):
    refused = infer(served, {"inputs": inputs})
    assert refused.status_code == 400
    assert refused.json()["code"] == "malformed"
    assert message in refused.json()["error"]


@pytest.mark.parametrize(
    ("change", "code", "field", "message"),
    [
        ({"distance": [1.0, "x"] + [1.0] * 38}, "bad_value", "distance", "row 1: 'x' is not a number."),
        ({"stops": [0.5] * 40}, "bad_value", "stops", "row 0: 0.5 is not an integer"),
        ({"stops": [2**60] * 40}, "out_of_range", "stops", "row 0: 1152921504606846976 is not an integer that"),
        ({"booked_at": ["noon"] * 40}, "bad_value", "booked_at", "'noon' is not a time: ISO 8601"),
        ({"distnace": [1.0] * 40}, "unknown_column", "distnace", "does not know the column 'distnace'"),
        ({"stops": [1] * 39}, "unequal_columns", "stops", "'stops' has 39 values, and others have 40"),
    ],
)  # fmt: skip
def test_rows_that_do_not_fit_are_refused_with_their_column(served, plain, change, code, field, message):
    refused = infer(served, tensors(plain, **change))
    assert refused.status_code == 422
    content = refused.json()
    assert (content["code"], content["field"]) == (code, field)
    assert message in content["error"]


def test_a_missing_column_is_refused(served, plain):
    refused = infer(served, tensors({name: values for name, values in plain.items() if name != "stops"}))
    assert refused.status_code == 422
    assert refused.json()["code"] == "missing_column"
    assert refused.json()["error"] == "The request lacks the column 'stops'."


def test_the_server_tells_what_it_serves(served):
    assert served.get("/v2").json()["name"] == "everfresh"
    assert served.get("/v2/models").json()["models"] == [
        {"name": "flights", "version": "1"},
        {"name": "minutes", "version": "1"},
        {"name": "neighbours", "version": "1"},
    ]


def test_a_model_tells_what_it_reads_and_answers(served, v1):
    told = served.get("/v2/models/flights").json()
    assert {tensor["name"]: tensor["datatype"] for tensor in told["inputs"]} == {
        "distance": "FP64",
        "stops": "INT64",
        "weekend": "BOOL",
        "carrier": "BYTES",
        "booked_at": "BYTES",
    }
    assert told["outputs"][0] == {"name": "probabilities", "datatype": "FP64", "shape": [-1, 2]}
    assert told["platform"] == "onnxruntime_onnx"
    assert told["parameters"]["classes"] == ["late", "on time"]
    assert told["parameters"]["digest"] == v1.bundle.manifest.digest
    assert served.get("/v2/models/neighbours").json()["platform"] == "sklearn"
    assert served.get("/v2/models/minutes/versions/1").json()["outputs"][0]["name"] == "value"


def test_another_version_or_model_is_not_found(served):
    refused = served.get("/v2/models/flights/versions/2")
    assert (refused.status_code, refused.json()["code"]) == (404, "unknown_version")
    refused = served.get("/v2/models/none")
    assert (refused.status_code, refused.json()["code"]) == (404, "unknown_model")
    assert served.get("/v2/models/none/ready").status_code == 404


@pytest.mark.parametrize(
    "path", ["/v2/health/live", "/v2/health/ready", "/v2/models/flights/ready", "/v2/models/flights/versions/1/ready"]
)
def test_health_is_200(served, path):
    assert served.get(path).status_code == 200


def test_a_question_about_the_server_itself_is_no_traffic(served, plain, eventually):
    def logged(request_id):
        log = read_log(inference_root(served.root), "flights", columns=["request_id"])
        return int((log["request_id"] == request_id).sum())

    infer(served, {**tensors(plain), "id": "a-probe", "parameters": {"record": False}})
    infer(served, {**tensors(plain), "id": "a-customer"})
    assert eventually(lambda: logged("a-customer") == 40)
    assert logged("a-probe") == 0


def test_record_is_true_or_false(served, plain):
    refused = infer(served, {**tensors(plain), "parameters": {"record": "no"}})
    assert (refused.status_code, refused.json()["code"], refused.json()["field"]) == (400, "malformed", "parameters")
