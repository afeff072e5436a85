from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
)
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier

from everfresh.packaging.batch import batch_of
from everfresh.packaging.compile.plan import CompiledPlan, compile_pipeline
from everfresh.packaging.parity import Parity, evenly, parity_of, parity_rows
from everfresh.packaging.pipelines import pipeline_answer
from everfresh.packaging.scorer import OnnxScorer
from everfresh.training.pipeline import build_pipeline

Change = Callable[[NDArray[Any]], NDArray[Any]]


def one_up(splits: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.nextafter(splits, np.inf)


def one_down(splits: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.nextafter(splits, -np.inf)


def float32(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return values.astype(np.float32).astype(np.float64)


def other_way(missing: NDArray[np.int64]) -> NDArray[np.int64]:
    return 1 - missing


def less_than(modes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.ones_like(modes)


def a_millionth_more(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    return weights + 1e-6


def trees_changed(plan: CompiledPlan, attribute: str, change: Change) -> CompiledPlan:
    """The plan with something of all its trees changed."""
    model = onnx.load_model_from_string(plan.model)
    (trees,) = [node for node in model.graph.node if node.op_type == "TreeEnsemble"]
    (found,) = [one for one in trees.attribute if one.name == attribute]
    if found.type == onnx.AttributeProto.TENSOR:
        found.t.CopyFrom(numpy_helper.from_array(change(numpy_helper.to_array(found.t)), found.t.name))
    else:
        changed = change(np.array(found.ints))
        del found.ints[:]
        found.ints.extend(changed.tolist())
    return replace(plan, model=model.SerializeToString())


def one_node_changed(plan: CompiledPlan, attribute: str, change: Change, random: np.random.Generator) -> CompiledPlan:
    def somewhere(values: NDArray[Any]) -> NDArray[Any]:
        values = values.copy()
        place = [random.integers(len(values))]
        values[place] = change(values[place])
        return values

    return trees_changed(plan, attribute, somewhere)


def without_rounding(plan: CompiledPlan) -> CompiledPlan:
    """The plan with features that stay float64."""
    model = onnx.load_model_from_string(plan.model)
    for node in model.graph.node:
        if node.op_type == "Cast" and node.attribute[0].i == onnx.TensorProto.FLOAT:
            node.attribute[0].i = onnx.TensorProto.DOUBLE
    return replace(plan, model=model.SerializeToString())


@pytest.fixture
def measure(frame, columns) -> Callable[..., Parity]:
    def parity(pipeline: Any, plan: CompiledPlan, task: Any = "classification") -> Parity:
        rows = parity_rows(frame, columns, plan.hard_rows)
        answer = OnnxScorer(plan.model, plan.codes, task).score(batch_of(rows, columns))
        return parity_of(pipeline_answer(pipeline, rows, task), answer, task)

    return parity


def compiled(pipeline, columns, task="classification") -> CompiledPlan:
    plan = compile_pipeline(pipeline, columns, task)
    assert isinstance(plan, CompiledPlan)
    return plan


# What scikit-learn's float32 trees cannot tell apart is missing here: a threshold that is one float64 higher
# separates the same float32 values.
WRONG = [
    (HistGradientBoostingClassifier(max_iter=10), "nodes_splits", one_up),
    (HistGradientBoostingClassifier(max_iter=10), "nodes_splits", one_down),
    (HistGradientBoostingClassifier(max_iter=10), "nodes_splits", float32),
    (HistGradientBoostingClassifier(max_iter=10), "nodes_modes", less_than),
    (HistGradientBoostingClassifier(max_iter=10), "nodes_missing_value_tracks_true", other_way),
    (HistGradientBoostingClassifier(max_iter=10), "leaf_weights", float32),
    (HistGradientBoostingClassifier(max_iter=10), "leaf_weights", a_millionth_more),
    (DecisionTreeClassifier(), "nodes_splits", one_down),
    (DecisionTreeClassifier(), "nodes_splits", float32),
    (DecisionTreeClassifier(), "nodes_modes", less_than),
    (DecisionTreeClassifier(), "nodes_missing_value_tracks_true", other_way),
    (RandomForestClassifier(10), "nodes_splits", one_down),
    (RandomForestClassifier(10), "nodes_splits", float32),
    (RandomForestClassifier(10), "nodes_missing_value_tracks_true", other_way),
    (RandomForestClassifier(10), "leaf_weights", a_millionth_more),
    (GradientBoostingClassifier(n_estimators=10), "nodes_splits", one_down),
    (GradientBoostingClassifier(n_estimators=10), "nodes_splits", float32),
]


@pytest.mark.parametrize(("estimator", "attribute", "change"), WRONG)
def test_trees_that_are_wrong_in_the_last_bit_are_caught(estimator, attribute, change, fitted, columns, measure):
    pipeline = fitted(estimator.set_params(random_state=0), "two")
    plan = compiled(pipeline, columns)
    assert measure(pipeline, plan).holds
    wrong = measure(pipeline, trees_changed(plan, attribute, change))
    assert not wrong.holds
    assert wrong.largest_difference > 1e-9


@pytest.mark.parametrize("estimator", [DecisionTreeClassifier(), RandomForestClassifier(10)], ids=str)
def test_trees_that_read_float64_where_scikit_learn_reads_float32_are_caught(estimator, fitted, columns, measure):
    pipeline = fitted(estimator.set_params(random_state=0), "two")
    assert not measure(pipeline, without_rounding(compiled(pipeline, columns))).holds


@pytest.mark.parametrize(
    ("attribute", "change", "at_least"),
    [("nodes_splits", one_up, 0.8), ("nodes_splits", one_down, 0.8), ("leaf_weights", a_millionth_more, 1.0)],
)
def test_one_wrong_node_among_hundreds_is_caught(attribute, change, at_least, frame, labels, columns):
    # Only on numbers: between the codes of two categories, any threshold is as good as any other.
    numbers = [column for column in columns if not column.is_category]
    pipeline = build_pipeline(HistGradientBoostingRegressor(max_iter=20, random_state=0), numbers)
    pipeline.fit(frame, labels["number"])
    plan = compiled(pipeline, numbers, "regression")
    rows = parity_rows(frame, numbers, plan.hard_rows)
    expected, batch = pipeline_answer(pipeline, rows, "regression"), batch_of(rows, numbers)
    random = np.random.default_rng(0)
    caught = 0
    for _ in range(40):
        wrong = one_node_changed(plan, attribute, change, random)
        answer = OnnxScorer(wrong.model, wrong.codes, "regression").score(batch)
        caught += not parity_of(expected, answer, "regression").holds
    assert caught / 40 >= at_least


def test_a_linear_plan_in_float32_is_caught(fitted, columns, measure):
    pipeline = fitted(LogisticRegression(), "three")
    plan = compiled(pipeline, columns)
    model = onnx.load_model_from_string(plan.model)
    for constant in model.graph.initializer:
        if constant.data_type == onnx.TensorProto.DOUBLE:
            constant.CopyFrom(numpy_helper.from_array(float32(numpy_helper.to_array(constant)), constant.name))
    assert measure(pipeline, plan).holds
    assert not measure(pipeline, replace(plan, model=model.SerializeToString())).holds


@pytest.mark.parametrize("wrong", ["missing", "unseen"])
def test_a_wrong_code_for_what_training_seldom_sees_is_caught(wrong, fitted, columns, measure):
    pipeline = fitted(LogisticRegression(), "two")
    plan = compiled(pipeline, columns)
    carrier = plan.codes.categories["carrier"]
    codes = replace(plan.codes, categories={**plan.codes.categories, "carrier": replace(carrier, **{wrong: 1.0})})
    assert not measure(pipeline, replace(plan, codes=codes)).holds


def test_rows_of_parity_are_the_real_ones_and_then_the_awkward_ones(frame, columns):
    rows = parity_rows(frame, columns, [{"distance": 3.25, "carrier": np.nan}])
    assert rows.dtypes.equals(frame.dtypes)
    assert rows.head(len(frame)).equals(frame)
    awkward = rows.iloc[len(frame) :]
    assert awkward.isna().all(axis=1).any()
    assert "a category that training never saw" in set(awkward["carrier"])
    assert "" in set(awkward["gate"])
    assert {frame["seats"].min(), frame["seats"].max(), frame["seats"].max() + 1e6} <= set(awkward["seats"])
    assert awkward["distance"].iloc[-1] == 3.25
    assert np.isnan(awkward["carrier"].iloc[-1])


def test_rows_without_any_value_have_awkward_ones_too(frame, columns):
    nothing = frame.head(1).assign(distance=np.nan, carrier=frame["carrier"].head(1).mask([True]))
    assert len(parity_rows(nothing, columns)) > 20


def test_at_most_a_thousand_real_rows_are_taken_evenly(columns, frame):
    many = frame.iloc[np.arange(5000) % len(frame)].assign(distance=np.arange(5000.0))
    real = parity_rows(many, columns)["distance"].head(1000)
    assert (real.iloc[0], real.iloc[-1]) == (0, 4999)
    assert set(np.diff(real)) == {5, 6} or set(np.diff(real)) == {5}


@pytest.mark.parametrize(
    ("rows", "at_most", "positions"), [(0, 4, []), (1, 4, [0]), (3, 4, [0, 1, 2]), (10, 1, [0]), (9, 3, [0, 4, 8])]
)
def test_positions_are_spread_evenly(rows, at_most, positions):
    assert evenly(rows, at_most).tolist() == positions


def test_parity_says_what_was_measured():
    assert str(Parity(1200, 2.2e-16, 0)) == "largest difference 2.2e-16 over 1,200 rows"
    assert str(Parity(1200, 0.25, 1300)) == "largest difference 0.25 over 1,200 rows, 1,300 labels flipped"


def test_a_label_flips_where_another_class_is_clearly_the_most_probable():
    expected = np.array([[0.5, 0.5], [0.6, 0.4], [0.6, 0.4]])
    answer = np.array([[0.5 - 1e-16, 0.5], [0.4, 0.6], [0.6, 0.4]])
    assert parity_of(expected, answer, "classification") == Parity(3, pytest.approx(0.2), 1)


def test_an_answer_of_another_shape_does_not_hold():
    assert not parity_of(np.zeros((3, 2)), np.zeros((3, 3)), "classification").holds
    assert not parity_of(np.zeros(3), np.zeros(2), "regression").holds
