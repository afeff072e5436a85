from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as theirs

from everfresh.evaluation.metrics import class_codes, score, scorer
from everfresh.spec.metrics import TASK_METRICS, Metric

CLASSES = {2: ("no", "yes"), 3: ("a", "b", "c"), 5: ("a", "b", "c", "d", "e")}


def answers(seed: int, rows: int, classes: int, *, ties: bool) -> tuple[np.ndarray, np.ndarray]:
    """Labels of which each class occurs, and probabilities; with ties, of a few values only."""
    random = np.random.default_rng(seed)
    codes = np.r_[np.arange(classes), random.integers(0, classes, rows - classes)]
    raw = random.integers(1, 4, (rows, classes)) if ties else random.random((rows, classes))
    raw = raw + 0.5 * (codes[:, None] == np.arange(classes))
    return np.array(CLASSES[classes])[codes], raw / raw.sum(axis=1, keepdims=True)


def by_scikit_learn(metric: Metric, y: np.ndarray, answer: np.ndarray, classes: tuple[str, ...], w: np.ndarray) -> Any:
    """The same score by scikit-learn, whose averages and conventions are spelled out here."""
    guess, two = np.array(classes)[answer.argmax(axis=1)], len(classes) == 2
    average: dict[str, Any] = {"average": "binary", "pos_label": classes[1]} if two else {"average": "macro"}
    match metric:
        case "roc_auc" | "average_precision":
            of_class = theirs.roc_auc_score if metric == "roc_auc" else theirs.average_precision_score
            scored = (1,) if two else range(len(classes))
            return np.mean([of_class(y == classes[code], answer[:, code], sample_weight=w) for code in scored])
        case "log_loss":
            return theirs.log_loss(y, answer, labels=list(classes), sample_weight=w)
        case "brier":
            return np.average(((answer - (y[:, None] == np.array(classes))) ** 2).sum(axis=1) / 2, weights=w)
        case "accuracy":
            return theirs.accuracy_score(y, guess, sample_weight=w)
        case "balanced_accuracy":
            return theirs.balanced_accuracy_score(y, guess, sample_weight=w)
        case "f1":
            return theirs.f1_score(y, guess, sample_weight=w, zero_division=0, **average)
        case "precision":
            return theirs.precision_score(y, guess, sample_weight=w, zero_division=0, **average)
        case _:
            return theirs.recall_score(y, guess, sample_weight=w, zero_division=0, **average)


@pytest.mark.parametrize("metric", TASK_METRICS["classification"])
@pytest.mark.parametrize("classes", [2, 3, 5])
@pytest.mark.parametrize("ties", [False, True])
def test_a_classification_is_scored_as_scikit_learn_does(metric: Metric, classes: int, ties: bool) -> None:
    for seed in range(5):
        y, answer = answers(seed, 60, classes, ties=ties)
        names, once = CLASSES[classes], np.ones(60)
        expected = by_scikit_learn(metric, y, answer, names, once)
        assert score(metric, y, answer, names) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("metric", TASK_METRICS["classification"])
@pytest.mark.parametrize("classes", [2, 3])
def test_a_row_that_is_drawn_twice_counts_twice(metric: Metric, classes: int) -> None:
    for seed in range(5):
        y, answer = answers(seed, 80, classes, ties=seed % 2 == 0)
        counts = np.random.default_rng(seed).integers(0, 3, 80).astype(np.float64)
        counts[:classes] = 1  # each class stays
        repeated = np.repeat(np.arange(80), counts.astype(int))
        weighted = scorer(metric, y, answer, CLASSES[classes])(counts)
        assert weighted == pytest.approx(score(metric, y[repeated], answer[repeated], CLASSES[classes]), rel=1e-12)


@pytest.mark.parametrize("metric", TASK_METRICS["regression"])
def test_a_regression_is_scored_as_scikit_learn_does(metric: Metric) -> None:
    of = {"rmse": theirs.root_mean_squared_error, "mae": theirs.mean_absolute_error, "r2": theirs.r2_score}[metric]
    for seed in range(5):
        random = np.random.default_rng(seed)
        y, answer = random.normal(1e6, 1, (2, 50))
        weights = random.integers(0, 3, 50).astype(np.float64)
        assert score(metric, y, answer) == pytest.approx(of(y, answer), rel=1e-9)
        assert scorer(metric, y, answer)(weights) == pytest.approx(of(y, answer, sample_weight=weights), rel=1e-9)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 4)), min_size=2, max_size=40))
@settings(max_examples=60)
def test_roc_auc_is_the_share_of_pairs_in_the_right_order(rows: list[tuple[bool, int]]) -> None:
    y = np.array(["yes" if late else "no" for late, _ in rows])
    p = np.array([value / 4 for _, value in rows])
    found = score("roc_auc", y, np.c_[1 - p, p], ("no", "yes"))
    pairs = [(p[i], p[j]) for i in range(len(y)) for j in range(len(y)) if y[i] == "yes" and y[j] == "no"]
    if pairs:
        assert found == pytest.approx(np.mean([(a > b) + 0.5 * (a == b) for a, b in pairs]))
    else:
        assert math.isnan(found)


def test_a_label_that_the_model_does_not_know_is_always_wrong() -> None:
    y = np.array(["no", "yes", "maybe"])
    answer = np.array([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]])
    classes = ("no", "yes")
    assert score("accuracy", y, answer, classes) == pytest.approx(2 / 3)
    assert score("log_loss", y, answer, classes) == pytest.approx(-math.log(1e-15) / 3)
    assert score("brier", y, answer, classes) == pytest.approx((0.25 + 0.25 + 1) / 2 / 3)
    assert score("balanced_accuracy", y, answer, classes) == 1.0
    assert score("precision", y, answer, classes) == 1.0  # a tie is answered with the first class
    assert score("roc_auc", y, answer, classes) == 1.0  # it is one of the rest


def test_one_sure_mistake_does_not_cost_infinity() -> None:
    answer = np.array([[1.0, 0.0]])
    assert score("log_loss", np.array(["yes"]), answer, ("no", "yes")) == pytest.approx(34.54, abs=0.01)


@pytest.mark.parametrize("metric", ["roc_auc", "average_precision", "f1", "precision", "recall"])
def test_without_a_positive_row_there_is_no_score(metric: Metric) -> None:
    answer = np.array([[0.4, 0.6], [0.9, 0.1]])
    assert math.isnan(score(metric, np.array(["no", "no"]), answer, ("no", "yes")))


@pytest.mark.parametrize("metric", ["accuracy", "balanced_accuracy", "log_loss", "brier"])
def test_one_class_can_be_scored_where_it_says_something(metric: Metric) -> None:
    answer = np.array([[0.4, 0.6], [0.9, 0.1]])
    assert math.isfinite(score(metric, np.array(["no", "no"]), answer, ("no", "yes")))


def test_a_class_that_does_not_occur_is_left_out_of_the_mean() -> None:
    y, answer = np.array(["a", "a", "b", "b"]), np.eye(3)[[0, 0, 1, 2]]
    assert score("recall", y, answer, ("a", "b", "c")) == pytest.approx((1 + 0.5) / 2)
    assert score("roc_auc", y, answer, ("a", "b", "c")) == pytest.approx((1 + 0.75) / 2)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_an_answer_that_is_no_number_has_no_score(bad: float) -> None:
    y = np.array(["no", "yes"])
    assert math.isnan(score("log_loss", y, np.array([[0.5, 0.5], [bad, 0.5]]), ("no", "yes")))
    assert math.isnan(score("rmse", np.array([1.0, 2.0]), np.array([1.0, bad])))


@pytest.mark.parametrize(("task", "metric"), [(task, metric) for task in TASK_METRICS for metric in TASK_METRICS[task]])
def test_no_rows_have_no_score(task: str, metric: Metric) -> None:
    classes = ("no", "yes") if task == "classification" else ()
    y = np.array([], dtype=str if classes else float)
    assert math.isnan(score(metric, y, np.empty((0, 2) if classes else 0), classes))


def test_labels_that_are_all_equal_explain_nothing() -> None:
    assert math.isnan(score("r2", np.ones(5), np.zeros(5)))


def test_an_answer_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"the answer has the shape \(3, 2\), 2 rows and 2 classes need \(2, 2\)"):
        score("accuracy", np.array(["no", "yes"]), np.ones((3, 2)), ("no", "yes"))


def test_codes_follow_the_order_of_the_classes_whatever_the_type_of_the_labels() -> None:
    assert class_codes(np.array(["b", "z", "a"], dtype=object), ("b", "a")).tolist() == [0, 2, 1]
    assert class_codes(np.array([], dtype=str), ("b", "a")).tolist() == []
