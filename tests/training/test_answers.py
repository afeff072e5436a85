from __future__ import annotations

import numpy as np
from sklearn.linear_model import LinearRegression, LogisticRegression

from everfresh.training.answers import answer_of, classes_of

ROWS = np.array([[0.0], [1.0], [2.0]])


def test_a_classifier_answers_with_probabilities_in_the_order_of_its_classes() -> None:
    fitted = LogisticRegression().fit(ROWS, np.array(["late", "late", "early"]))
    answer = answer_of(fitted, ROWS, "classification")
    assert classes_of(fitted, "classification") == ("early", "late")
    assert answer.dtype == np.float64
    assert answer[0, 1] > answer[2, 1]


def test_a_regressor_answers_with_values_even_where_its_labels_were_a_column() -> None:
    fitted = LinearRegression().fit(ROWS, np.array([[1.0], [2.0], [3.0]]))
    assert classes_of(fitted, "regression") == ()
    np.testing.assert_allclose(answer_of(fitted, ROWS, "regression"), [1, 2, 3])
