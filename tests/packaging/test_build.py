from __future__ import annotations

import dataclasses
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LinearRegression, LogisticRegression, PoissonRegressor, Ridge
from sklearn.model_selection import FixedThresholdClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier, RadiusNeighborsRegressor
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from everfresh.errors import AnswerDiffers, ClassesDiffer, NoAnswer, NoGoldenRows, TypesRefused
from everfresh.packaging import build as build_module
from everfresh.packaging.build import build
from everfresh.packaging.golden import read_golden
from everfresh.packaging.pipelines import dump_pipeline

EXACT = [
    (LogisticRegression(), "two"),
    (LogisticRegression(), "three"),
    (LinearRegression(), "number"),
    (Ridge(), "number"),
    (PoissonRegressor(), "number"),
    (HistGradientBoostingClassifier(max_iter=10), "two"),
    (HistGradientBoostingClassifier(max_iter=10), "three"),
    (HistGradientBoostingRegressor(max_iter=10), "number"),
    (HistGradientBoostingRegressor(max_iter=10, loss="poisson"), "number"),
    (HistGradientBoostingRegressor(max_iter=10, loss="gamma"), "number"),
    (HistGradientBoostingRegressor(max_iter=10, loss="quantile", quantile=0.9), "number"),
    (RandomForestClassifier(10), "two"),
    (RandomForestClassifier(10), "three"),
    (RandomForestClassifier(10, class_weight="balanced"), "two"),
    (RandomForestRegressor(10), "number"),
    (ExtraTreesClassifier(10), "two"),
    (ExtraTreesClassifier(10), "three"),
    (ExtraTreesRegressor(10), "number"),
    (GradientBoostingClassifier(n_estimators=10), "two"),
    (GradientBoostingClassifier(n_estimators=10, loss="exponential"), "two"),
    (GradientBoostingClassifier(n_estimators=10), "three"),
    (GradientBoostingClassifier(n_estimators=10, init="zero"), "three"),
    (GradientBoostingRegressor(n_estimators=10), "number"),
    (DecisionTreeClassifier(), "two"),
    (DecisionTreeClassifier(), "three"),
    (DecisionTreeRegressor(), "number"),
    (MLPClassifier(hidden_layer_sizes=(5,), max_iter=2000, tol=1e-2), "three"),
]

INEXACT = [
    (KNeighborsClassifier(), "two"),
    (GaussianNB(), "two"),
    (GradientBoostingClassifier(n_estimators=5, init=LogisticRegression()), "two"),
]


@pytest.mark.parametrize(("estimator", "learns"), EXACT, ids=str)
def test_a_compiled_bundle_answers_as_the_fitted_pipeline(estimator, learns, fitted, packed, unseen, tmp_path):
    model = packed(fitted(_seeded(estimator), learns), tmp_path / "bundle")
    assert model.bundle.manifest.path == "onnx"
    assert model.bundle.manifest.path_reason.startswith("ONNX Runtime, largest difference ")
    assert model.difference(unseen) <= 1e-9


@pytest.mark.parametrize(("estimator", "learns"), INEXACT, ids=str)
def test_a_bundle_without_exact_plan_says_so_and_answers_all_the_same(
    estimator, learns, fitted, packed, unseen, tmp_path
):
    model = packed(fitted(_seeded(estimator), learns), tmp_path / "bundle")
    assert model.bundle.manifest.path == "sklearn"
    reason = model.bundle.manifest.path_reason
    assert reason.startswith("scikit-learn without frames (largest difference 0 over ")
    assert "has no exact export" in reason
    assert "model.onnx" not in model.bundle.manifest.files
    assert model.difference(unseen) == 0


@pytest.mark.filterwarnings("ignore:The `probability` parameter:FutureWarning")
def test_a_support_vector_machine_with_probabilities_is_served_by_scikit_learn(fitted, packed, unseen, tmp_path):
    model = packed(fitted(SVC(probability=True, random_state=0), "two"), tmp_path / "bundle")
    assert "because SVC has no exact export" in model.bundle.manifest.path_reason
    assert model.difference(unseen) == 0


def test_a_table_packs_as_its_model_frame_does(linear, facts_of, table, frame):
    of_table, of_frame = build(linear, facts_of(linear), table), build(linear, facts_of(linear), frame)
    assert of_table.files["golden.json"] == of_frame.files["golden.json"]


def test_a_plan_that_differs_is_not_used(boosting, facts_of, table, monkeypatch):
    compiled = build_module.compile_pipeline

    def spoiled(pipeline, columns, task):
        plan = compiled(pipeline, columns, task)
        category = plan.codes.categories["carrier"]
        swapped = replace(category, known={"AA": category.known["UA"], "UA": category.known["AA"], "B6": 0.0})
        return replace(plan, codes=replace(plan.codes, categories={**plan.codes.categories, "carrier": swapped}))

    monkeypatch.setattr(build_module, "compile_pipeline", spoiled)
    built = build(boosting, facts_of(boosting), table)
    assert built.path == "sklearn"
    assert "because the compiled plan differs: largest difference 0." in built.path_reason
    assert "model.onnx" not in built.files


def test_a_plan_that_the_runtime_refuses_is_not_used(boosting, facts_of, table, monkeypatch):
    compiled = build_module.compile_pipeline
    monkeypatch.setattr(build_module, "compile_pipeline", lambda *of: replace(compiled(*of), model=b"no graph"))
    built = build(boosting, facts_of(boosting), table)
    assert built.path == "sklearn"
    assert "because ONNX Runtime refuses the compiled plan (" in built.path_reason


def test_a_pipeline_that_refuses_missing_values_is_served_by_scikit_learn(facts_of, frame):
    pipeline = Pipeline(
        [("prepare", ColumnTransformer([("numbers", "passthrough", ["distance"])])), ("model", LinearRegression())]
    )
    complete = frame[frame["distance"].notna()]
    pipeline.fit(complete, complete["distance"] * 2)
    built = build(pipeline, facts_of(pipeline), complete)
    assert built.path == "sklearn"
    assert "the fitted pipeline refuses awkward rows (Input X contains NaN.)" in built.path_reason


def test_a_label_that_the_pipeline_would_not_choose_is_mentioned(fitted, facts_of, table):
    usual = fitted(LogisticRegression(), "two")
    assert "by itself would choose" not in build(usual, facts_of(usual), table).path_reason
    strict = fitted(FixedThresholdClassifier(LogisticRegression(), threshold=0.9), "two")
    built = build(strict, facts_of(strict), table)
    assert built.path == "onnx"
    assert re.search(
        r"; the label that is served is the most probable one, and the pipeline by itself would choose another for "
        r"\d+ of 300 rows$",
        built.path_reason,
    )


def test_an_answer_that_overflows_overflows_in_both(fitted, frame, facts_of, table):
    pipeline = fitted(PoissonRegressor(alpha=0, max_iter=1000), "number")
    pipeline["model"].coef_ = pipeline["model"].coef_ * 1000
    pipeline["model"].intercept_ = -10.0
    small = frame["distance"].rank() < 20
    built = build(pipeline, facts_of(pipeline), table[small])
    assert built.path == "onnx"


def test_no_rows_are_refused(linear, facts_of, table):
    with pytest.raises(NoGoldenRows, match="at least one real row"):
        build(linear, facts_of(linear), table.head(0))


def test_golden_rows_lack_nothing_that_a_server_insists_on(linear, facts_of, table, columns):
    strict = tuple(replace(column, nullable=column.name != "distance") for column in columns)
    facts = dataclasses.replace(facts_of(linear), columns=strict)
    sendable = build_module._sendable(build_module.model_frame(table, strict), facts)
    golden = build_module._golden(linear, sendable, facts)
    assert not np.isnan(golden.batch.numbers["distance"]).any()
    assert np.isnan(golden.batch.numbers["seats"]).any()
    with pytest.raises(NoGoldenRows):
        build(linear, facts, table[table["distance"].isna()])


def test_a_pipeline_that_answers_nan_is_not_packed(fitted, facts_of, table):
    pipeline = fitted(RadiusNeighborsRegressor(radius=1e-6), "number")
    elsewhere = table.assign(distance=-5.0)
    with pytest.warns(UserWarning, match="no neighbors"), pytest.raises(NoAnswer, match="64 of 64 real rows"):
        build(pipeline, facts_of(pipeline), elsewhere)


def test_classes_in_another_order_are_refused(boosting, facts_of, table):
    facts = replace(facts_of(boosting), classes=("on time", "late"))
    with pytest.raises(ClassesDiffer, match="answers for the classes late, on time, and the bundle was to say on time"):
        build(boosting, facts, table)


def test_a_pipeline_that_could_never_be_loaded_is_refused(fitted, facts_of, table):
    class OwnRegressor(LinearRegression):
        pass

    pipeline = fitted(LinearRegression(), "number")
    pipeline.steps[-1] = ("model", OwnRegressor().fit(np.zeros((2, 12)), [0, 1]))
    with pytest.raises(TypesRefused, match="OwnRegressor"):
        build(pipeline, facts_of(pipeline), table)


def test_a_stored_pipeline_that_answers_otherwise_is_refused(fitted, linear, facts_of, table, monkeypatch):
    other = fitted(Ridge(alpha=1000), "number")
    monkeypatch.setattr(build_module, "dump_pipeline", lambda pipeline, name: dump_pipeline(other, name))
    with pytest.raises(AnswerDiffers):
        build(linear, facts_of(linear), table)


def test_a_bundle_names_the_libraries_that_made_it(bundle):
    assert {"scikit-learn", "skops", "onnxruntime"} <= bundle.manifest.libraries.keys()
    assert bundle.manifest.libraries["pandas"] == pd.__version__


def test_at_most_64_golden_rows_are_kept_from_the_first_to_the_last(bundle, frame):
    golden = read_golden(bundle)
    assert golden.batch.rows == 64
    assert golden.batch.categories["gate"][0] == frame["gate"].iloc[0]
    np.testing.assert_array_equal(golden.batch.numbers["distance"][[0, -1]], frame["distance"].iloc[[0, -1]])


def _seeded(estimator: BaseEstimator) -> BaseEstimator:
    if "random_state" in estimator.get_params(deep=False):
        estimator.set_params(random_state=0)
    return estimator
