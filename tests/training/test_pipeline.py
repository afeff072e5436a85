from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVR
from sklearn.tree import DecisionTreeClassifier

from everfresh.data.columns import Column
from everfresh.training.pipeline import InputForm, build_pipeline, build_preparation, input_form

COLUMNS = (Column("carrier", "category"), Column("distance", "float"))
ROWS = pd.DataFrame({
    "distance": [1.0, np.nan, 3.0, 5.0],
    "other": [9.0] * 4,
    "carrier": pd.Series(["UA", "AA", None, "AA"], dtype="str"),
})  # fmt: skip
NEW = pd.DataFrame({"carrier": pd.Series(["ZZ", None], dtype="str"), "distance": [np.nan, 3.0]})


@pytest.mark.parametrize(("estimator", "form"), [
    (LogisticRegression(), "scaled"),
    (SVR(), "scaled"),
    (HistGradientBoostingClassifier(), "coded_with_gaps"),
    (RandomForestRegressor(), "coded_with_gaps"),
    (ExtraTreesClassifier(), "coded_with_gaps"),
    (DecisionTreeClassifier(), "coded_with_gaps"),
    (GradientBoostingClassifier(), "coded"),
])  # fmt: skip
def test_an_estimator_gets_the_form_it_can_use(estimator: BaseEstimator, form: InputForm) -> None:
    assert input_form(estimator) == form


@pytest.mark.parametrize(("form", "train", "new"), [
    ("coded_with_gaps", [[1, 2], [np.nan, 1], [3, 0], [5, 1]], [[np.nan, -1], [3, 0]]),
    ("coded", [[1, 2], [3, 1], [3, 0], [5, 1]], [[3, -1], [3, 0]]),
])  # fmt: skip
def test_trees_see_numbers_and_codes(form: InputForm, train: list[list[float]], new: list[list[float]]) -> None:
    preparation = build_preparation(form, COLUMNS)
    np.testing.assert_array_equal(preparation.fit_transform(ROWS), train)
    np.testing.assert_array_equal(preparation.transform(NEW), new)


def test_others_see_scaled_numbers_and_one_column_for_each_category() -> None:
    preparation = build_preparation("scaled", COLUMNS)
    matrix = preparation.fit_transform(ROWS)
    np.testing.assert_allclose(matrix[:, 0], np.array([-2, 0, 0, 2]) / np.sqrt(2))
    np.testing.assert_array_equal(matrix[:, 1:], [[0, 0, 1], [0, 1, 0], [1, 0, 0], [0, 1, 0]])
    np.testing.assert_array_equal(preparation.transform(NEW), [[0, 0, 0, 0], [0, 1, 0, 0]])


@pytest.mark.parametrize("form", ["scaled", "coded", "coded_with_gaps"])
@pytest.mark.parametrize("columns", [COLUMNS[:1], COLUMNS[1:], COLUMNS])
def test_a_matrix_is_always_dense_float64(form: InputForm, columns: tuple[Column, ...]) -> None:
    matrix = build_preparation(form, columns).fit_transform(ROWS)
    assert isinstance(matrix, np.ndarray)
    assert (matrix.dtype, len(matrix)) == (np.float64, 4)


def test_a_pipeline_prepares_and_then_models() -> None:
    pipeline = build_pipeline(LogisticRegression(), COLUMNS).fit(ROWS, ["a", "b", "a", "b"])
    assert list(pipeline.named_steps) == ["prepare", "model"]
    assert pipeline.predict_proba(NEW).shape == (2, 2)
