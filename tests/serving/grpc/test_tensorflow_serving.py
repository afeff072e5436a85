"""TensorFlow Serving's services, message by message."""

from __future__ import annotations

import math
import struct

import numpy as np
import pytest

from everfresh.serving.grpc.messages import message

PREDICTION = "tensorflow.serving.PredictionService"
MODEL = "tensorflow.serving.ModelService"
FLOAT, DOUBLE, INT32, STRING, COMPLEX, INT64, BOOL = 1, 2, 3, 7, 8, 9, 10


@pytest.fixture
def predict(plain):
    """A PredictRequest with the first rows of the table; a time that is missing is NaN, and times are seconds."""

    def build(rows=40, *, content=False, **spec):
        request = message("tensorflow.serving.PredictRequest")()
        request.model_spec.name = "flights"
        for name, value in spec.items():
            setattr(request.model_spec, name, value)
        times = [
            math.nan if value is None else float(np.datetime64(value, "us").astype(np.int64)) / 1e6
            for value in plain["booked_at"][:rows]
        ]
        distance = [math.nan if value is None else value for value in plain["distance"][:rows]]
        carrier = ["?" if value is None else value for value in plain["carrier"][:rows]]
        put(request, "distance", DOUBLE, distance, content)
        put(request, "stops", INT64, plain["stops"][:rows], content)
        put(request, "weekend", BOOL, plain["weekend"][:rows], content)
        put(request, "carrier", STRING, [value.encode() for value in carrier])
        put(request, "booked_at", DOUBLE, times, content)
        return request

    return build


FIELDS = {FLOAT: "float_val", DOUBLE: "double_val", INT32: "int_val", STRING: "string_val", INT64: "int64_val"}


def put(request, name, datatype, values, content=False):
    tensor = request.inputs[name]
    tensor.Clear()
    tensor.dtype = datatype
    tensor.tensor_shape.dim.add(size=len(values))
    if content:
        kinds = {FLOAT: "f", DOUBLE: "d", INT64: "q", BOOL: "?"}
        tensor.tensor_content = struct.pack(f"<{len(values)}{kinds[datatype]}", *values)
    else:
        getattr(tensor, FIELDS.get(datatype, "bool_val")).extend(values)
    return tensor


def probabilities(response):
    tensor = response.outputs["probabilities"]
    return np.array(tensor.double_val).reshape([dimension.size for dimension in tensor.tensor_shape.dim])


@pytest.fixture
def answer(v1, features):
    """What the pipeline answers; a carrier that is missing is one that nobody saw, as both are here."""
    return v1.answer(features.assign(carrier=features["carrier"].fillna("?")))


@pytest.mark.parametrize("content", [False, True])
@pytest.mark.parametrize("rows", [3, 40])
def test_predict_answers_as_the_pipeline_does(shared, predict, answer, v1, rows, content):
    response = shared.call(PREDICTION, "Predict", predict(rows, content=content))
    np.testing.assert_allclose(probabilities(response), answer[:rows], rtol=0, atol=1e-12)
    labels = [label.decode() for label in response.outputs["label"].string_val]
    assert labels == [v1.bundle.manifest.classes[place] for place in answer[:rows].argmax(axis=1)]
    spec = response.model_spec
    assert (spec.name, spec.version.value, spec.signature_name) == ("flights", 1, "serving_default")


def test_a_regression_answers_a_value(shared, predict, minutes, features):
    response = shared.call(PREDICTION, "Predict", predict(name="minutes"))
    expected = minutes.answer(features.assign(carrier=features["carrier"].fillna("?")))
    np.testing.assert_allclose(response.outputs["value"].double_val, expected, rtol=1e-12)


def test_a_version_is_chosen_by_number_and_by_label(shared, predict):
    by_number = predict(1)
    by_number.model_spec.version.value = 2
    for request in (by_number, predict(1, version_label="canary")):
        assert shared.call(PREDICTION, "Predict", request).model_spec.version.value == 2
    missing = predict(1, version_label="no such")
    assert shared.refusal(PREDICTION, "Predict", missing)[0] == "NOT_FOUND"
    negative = predict(1)
    negative.model_spec.version.value = -1
    assert shared.refusal(PREDICTION, "Predict", negative)[0] == "NOT_FOUND"


def test_only_the_outputs_that_are_asked_for_come(shared, predict):
    request = predict(1)
    request.output_filter.append("label")
    assert list(shared.call(PREDICTION, "Predict", request).outputs) == ["label"]
    request.output_filter.append("logits")
    assert shared.refusal(PREDICTION, "Predict", request) == (
        "INVALID_ARGUMENT",
        "Outputs are probabilities, label; the request asks for others.",
    )


def test_a_value_that_is_left_out_is_the_last_one_that_came(shared, predict, plain):
    one, all_of_them = predict(3), predict(3)
    put(one, "stops", INT64, [2]).tensor_shape.dim[0].size = 3
    put(all_of_them, "stops", INT64, [2, 2, 2])
    np.testing.assert_array_equal(
        probabilities(shared.call(PREDICTION, "Predict", one)),
        probabilities(shared.call(PREDICTION, "Predict", all_of_them)),
    )


def resized(size):
    def change(request):
        request.inputs["distance"].tensor_shape.dim[0].size = size

    return change


def retyped(datatype):
    def change(request):
        request.inputs["distance"].dtype = datatype

    return change


def unknown_rank(request):
    request.inputs["distance"].tensor_shape.unknown_rank = True


def scalar(request):
    del request.inputs["distance"].tensor_shape.dim[:]


def short_content(request):
    request.inputs["distance"].ClearField("double_val")
    request.inputs["distance"].tensor_content = b"1234567"


def both(request):
    request.inputs["distance"].tensor_content = bytes(8)


def text_content(request):
    request.inputs["carrier"].ClearField("string_val")
    request.inputs["carrier"].tensor_content = b"\x02AA"


def no_values(request):
    request.inputs["distance"].ClearField("double_val")


def infinite(request):
    request.inputs["distance"].double_val[0] = math.inf


def other_signature(request):
    request.model_spec.signature_name = "classify"


def surplus(request):
    put(request, "gate", INT64, [1])


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (resized(10**12), "has 1 values, and the shape says 1,000,000,000,000"),
        (resized(-1), "must have the shape [rows] or [rows, 1]"),
        (resized(0), "has 1 values, and the shape says 0"),
        (scalar, "must have the shape [rows] or [rows, 1]"),
        (unknown_rank, "has no shape"),
        (retyped(FLOAT), "has values in double_val, where its datatype has them in float_val"),
        (retyped(COMPLEX), "is of datatype 8"),
        (retyped(0), "is of datatype 0"),
        (short_content, "has 7 bytes, and 1 values of FP64 are 8"),
        (both, "has values in tensor_content and double_val"),
        (text_content, "has values in tensor_content, where its datatype has them in string_val"),
        (no_values, "has 0 values, and the shape says 1"),
        (infinite, "inf is not a finite number"),
        (other_signature, "There is no signature 'classify'"),
        (surplus, "The model does not know the column 'gate'"),
    ],
)
def test_tensors_that_are_not_what_they_say_are_refused(shared, predict, change, sentence):
    request = predict(1)
    change(request)
    status, said = shared.refusal(PREDICTION, "Predict", request)
    assert status == "INVALID_ARGUMENT"
    assert sentence in said


def examples(request, table, rows):
    """The rows as examples; a feature that is missing has no value."""
    for row in range(rows):
        feature = request.input.example_list.examples.add().features.feature
        for name, values in table.items():
            value = values[row]
            if value is None:
                feature[name].SetInParent()
            elif isinstance(value, str):
                feature[name].bytes_list.value.append(value.encode())
            elif isinstance(value, float):
                feature[name].float_list.value.append(value)
            else:
                feature[name].int64_list.value.append(int(value))
    return request


def as_floats(features):
    """The table with distances as 32 bits hold them."""
    return features.assign(distance=features["distance"].astype(np.float32).astype(np.float64))


def test_classify_answers_examples_with_every_class_and_its_score(shared, plain, features, v1):
    request = examples(message("tensorflow.serving.ClassificationRequest")(), plain, 40)
    request.model_spec.name = "flights"
    result = shared.call(PREDICTION, "Classify", request).result
    found = [[entry.score for entry in one.classes] for one in result.classifications]
    np.testing.assert_allclose(found, v1.answer(as_floats(features)), rtol=0, atol=1e-7)
    assert [entry.label for entry in result.classifications[0].classes] == list(v1.bundle.manifest.classes)


def test_regress_answers_examples_with_a_value(shared, plain, features, minutes):
    request = examples(message("tensorflow.serving.RegressionRequest")(), plain, 40)
    request.model_spec.name = "minutes"
    result = shared.call(PREDICTION, "Regress", request).result
    found = [one.value for one in result.regressions]
    np.testing.assert_allclose(found, minutes.answer(as_floats(features)), rtol=1e-6)


def test_what_examples_have_in_common_is_in_each_of_them(shared, plain):
    apart = examples(message("tensorflow.serving.RegressionRequest")(), {**plain, "stops": [1] * 40}, 2)
    apart.model_spec.name = "minutes"
    together = message("tensorflow.serving.RegressionRequest")()
    together.model_spec.name = "minutes"
    shared_part = together.input.example_list_with_context
    shared_part.context.features.feature["stops"].int64_list.value.append(1)
    for example in apart.input.example_list.examples:
        shared_part.examples.add().CopyFrom(example)
        del shared_part.examples[-1].features.feature["stops"]
    assert shared.call(PREDICTION, "Regress", together) == shared.call(PREDICTION, "Regress", apart)


def test_the_other_task_is_refused(shared, plain):
    request = examples(message("tensorflow.serving.RegressionRequest")(), plain, 1)
    request.model_spec.name = "flights"
    status, sentence = shared.refusal(PREDICTION, "Regress", request)
    assert status == "INVALID_ARGUMENT"
    assert sentence == "'flights' is a classification and does not regress; call Predict, which takes every model."


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"float_list": {"value": [1.0, 2.0]}}, "Column 'distance', row 0: a list is not one value."),
        ({"float_list": {"value": [math.inf]}}, "Column 'distance', row 0: inf is not a finite number."),
        ({"bytes_list": {"value": [b"\xff"]}}, "Column 'distance', row 0: b'\\xff' is not text in UTF-8."),
        ({"bytes_list": {"value": [b"far"]}}, "Column 'distance', row 0: 'far' is not a number."),
    ],
)
def test_a_feature_that_no_column_can_have_is_refused(shared, plain, values, sentence):
    request = examples(message("tensorflow.serving.ClassificationRequest")(), plain, 1)
    request.model_spec.name = "flights"
    feature = request.input.example_list.examples[0].features.feature["distance"]
    feature.CopyFrom(type(feature)(**values))
    assert shared.refusal(PREDICTION, "Classify", request) == ("INVALID_ARGUMENT", sentence)


def test_a_request_without_examples_is_refused(shared):
    request = message("tensorflow.serving.ClassificationRequest")()
    request.model_spec.name = "flights"
    assert shared.refusal(PREDICTION, "Classify", request) == (
        "INVALID_ARGUMENT",
        "The request has no examples.",
    )
    request.input.example_list.SetInParent()
    assert shared.refusal(PREDICTION, "Classify", request)[0] == "INVALID_ARGUMENT"


def test_the_metadata_is_the_signature(shared):
    request = message("tensorflow.serving.GetModelMetadataRequest")(metadata_field=["signature_def"])
    request.model_spec.name = "flights"
    response = shared.call(PREDICTION, "GetModelMetadata", request)
    signatures = message("tensorflow.serving.SignatureDefMap")()
    assert response.metadata["signature_def"].Unpack(signatures)
    own = signatures.signature_def["serving_default"]
    assert own.method_name == "tensorflow/serving/predict"
    assert {name: info.dtype for name, info in own.inputs.items()} == {
        "distance": DOUBLE,
        "stops": INT64,
        "weekend": BOOL,
        "carrier": STRING,
        "booked_at": STRING,
    }
    assert [dimension.size for dimension in own.outputs["probabilities"].tensor_shape.dim] == [-1, 2]
    request.metadata_field.append("weights")
    assert shared.refusal(PREDICTION, "GetModelMetadata", request)[0] == "INVALID_ARGUMENT"


def test_the_status_is_that_of_the_versions(shared):
    request = message("tensorflow.serving.GetModelStatusRequest")()
    request.model_spec.name = "flights"
    found = shared.call(MODEL, "GetModelStatus", request).model_version_status
    assert [(status.version, status.state) for status in found] == [(2, 30), (1, 30)]
    request.model_spec.version.value = 1
    assert [s.version for s in shared.call(MODEL, "GetModelStatus", request).model_version_status] == [1]
    request.model_spec.version.value = 3
    assert shared.refusal(MODEL, "GetModelStatus", request)[0] == "NOT_FOUND"


def test_what_is_left_out_says_so(shared):
    empty = message("tensorflow.serving.MultiInferenceRequest")()
    for service, method in ((PREDICTION, "MultiInference"), (MODEL, "HandleReloadConfigRequest")):
        status, sentence = shared.refusal(service, method, empty)
        assert status == "UNIMPLEMENTED"
        assert sentence.endswith(".")
