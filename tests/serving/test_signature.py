"""What models read and answer, as tensors."""

from __future__ import annotations

import numpy as np

from everfresh.serving import signature
from everfresh.serving.inference import Inference
from everfresh.serving.signature import TensorSpec
from everfresh.serving.versions.models import LoadedModel


def inference(fitted, features):
    model = LoadedModel(fitted.name, 1, fitted.bundle.manifest, None, None)
    return Inference(model, fitted.answer(features), "r")


def test_a_model_reads_a_tensor_for_each_column(v1):
    assert signature.inputs(v1.bundle.manifest) == [
        TensorSpec("distance", "FP64", (-1,)),
        TensorSpec("stops", "INT64", (-1,)),
        TensorSpec("weekend", "BOOL", (-1,)),
        TensorSpec("carrier", "BYTES", (-1,)),
        TensorSpec("booked_at", "BYTES", (-1,)),
    ]


def test_a_classifier_answers_probabilities_and_labels(v1, features):
    answered = inference(v1, features)
    probabilities, label = signature.answers(answered)
    assert [spec.shape for spec in signature.outputs(v1.bundle.manifest)] == [(-1, 2), (-1,)]
    assert (probabilities.name, probabilities.datatype, probabilities.shape) == ("probabilities", "FP64", (40, 2))
    np.testing.assert_array_equal(probabilities.values, v1.answer(features))
    assert (label.name, label.datatype, label.shape, label.values) == ("label", "BYTES", (40,), answered.labels)


def test_a_regression_answers_values(minutes, features):
    (value,) = signature.answers(inference(minutes, features))
    assert (value.name, value.datatype, value.shape) == ("value", "FP64", (40,))
    np.testing.assert_array_equal(value.values, minutes.answer(features))


def test_rows_are_called_what_the_log_calls_them(minutes, features):
    assert list(signature.row_ids(inference(minutes, features[:2])).values) == ["r-0", "r-1"]
