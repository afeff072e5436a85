from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from everfresh.monitoring.performance import MaturedRows, PerformanceReport, matured_rows, measure_performance
from everfresh.spec.metrics import Metric

CLASSES = ("0", "1")


def score(metric: Metric, y: Any, answer: Any, classes: Sequence[str]) -> float:
    if metric == "rmse":
        return float(np.sqrt(np.mean((y - answer) ** 2)))
    return float(np.mean(np.asarray(classes, dtype=object)[answer.argmax(axis=1)] == y))


def matured(rows: int, right: float, seed: int = 0) -> MaturedRows:
    """Answers that are right in a share of `right`."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 2, rows)
    told = np.where(generator.random(rows) < right, labels, 1 - labels)
    answer = np.column_stack([1.0 - told, told]).astype(float)
    return MaturedRows(labels.astype(str).astype(object), answer, CLASSES, served=rows, young=7)


def judge(rows: MaturedRows, reference: float | None = 0.8) -> PerformanceReport:
    return measure_performance(rows, "accuracy", score, reference_score=reference, worth_a_drop=0.03, seed=1)


def test_a_version_as_good_as_at_training_is_ok() -> None:
    report = judge(matured(4000, right=0.8))
    assert report.status == "OK"
    assert report.reason.endswith("a drop is from 0.03 on.")


def test_a_version_that_became_worse_has_dropped() -> None:
    report = judge(matured(4000, right=0.7))
    assert report.status == "DROPPED"
    assert report.drop == pytest.approx(0.1, abs=0.03)
    assert "worse than the 0.800 at training" in report.reason


def test_a_drop_that_chance_can_explain_is_no_drop() -> None:
    report = judge(matured(60, right=0.74, seed=4))
    assert report.drop is not None
    assert report.drop >= 0.03
    assert report.status == "OK"
    assert report.reason.endswith("which chance can explain.")


def test_the_interval_has_the_width_that_theory_gives() -> None:
    report = judge(matured(4000, right=0.8))
    assert report.low is not None
    assert report.high is not None
    assert report.high - report.low == pytest.approx(2 * 1.96 * np.sqrt(0.8 * 0.2 / 4000), rel=0.35)


def test_the_same_seed_gives_the_same_interval() -> None:
    assert judge(matured(500, right=0.8)) == judge(matured(500, right=0.8))


def test_an_error_that_grew_has_dropped() -> None:
    labels = np.random.default_rng(1).normal(size=500)
    rows = MaturedRows(labels, np.zeros(500), (), served=500, young=0)
    report = measure_performance(rows, "rmse", score, reference_score=0.5, worth_a_drop=0.1, seed=1)
    assert report.status == "DROPPED"
    assert report.drop == pytest.approx(0.5, abs=0.1)


def test_too_few_labels_are_insufficient() -> None:
    report = judge(matured(49, right=0.1))
    assert report.status == "INSUFFICIENT"
    assert report.reason == "49 of 49 matured rows have a label; below 50 nothing is judged (7 rows are too young)."


def test_a_class_with_too_few_labels_is_insufficient() -> None:
    rows = matured(500, right=0.8)
    one_class = MaturedRows(np.array(["0"] * 500, dtype=object), rows.answer, CLASSES, served=500, young=0)
    assert judge(one_class).reason == "The class '1' has 0 labelled rows; below 10 nothing is judged."


def test_a_score_that_cannot_be_computed_is_insufficient() -> None:
    report = measure_performance(
        matured(500, 0.8), "roc_auc", lambda *_: float("nan"), reference_score=0.8, worth_a_drop=0.03, seed=1
    )
    assert report.status == "INSUFFICIENT"


def test_without_a_score_from_training_nothing_can_have_dropped() -> None:
    report = judge(matured(500, right=0.1), reference=None)
    assert (report.status, report.drop) == ("INSUFFICIENT", None)
    assert report.score == pytest.approx(0.1, abs=0.05)


def joined_log() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "time": pd.to_datetime(["2013-03-03", "2013-03-01", "2013-03-02", "2013-03-04"], utc=True),
            "label": ["1", "0", None, "0"],
            "p.0": [0.1, 0.9, 0.5, 0.4],
            "p.1": [0.9, 0.1, 0.5, 0.6],
        }
    )


def test_only_rows_whose_label_is_due_are_judged() -> None:
    as_of = datetime(2013, 3, 4, tzinfo=UTC)
    rows = matured_rows(joined_log(), CLASSES, label_delay=timedelta(days=1), as_of=as_of)
    assert rows.labels.tolist() == ["0", "1"]  # in the order of time
    assert rows.answer[:, 1].tolist() == [0.1, 0.9]
    assert (rows.labelled, rows.served, rows.young) == (2, 3, 1)
    assert rows.maturity == pytest.approx(2 / 3)


def test_labels_of_a_regression_are_numbers() -> None:
    log = joined_log()[["time", "label"]].assign(value=1.5)
    as_of = datetime(2013, 4, 1, tzinfo=UTC)
    rows = matured_rows(log, (), label_delay=timedelta(0), as_of=as_of)
    assert rows.labels.tolist() == [0.0, 1.0, 0.0]


def test_an_empty_log_has_no_matured_rows() -> None:
    as_of = datetime(2013, 3, 4, tzinfo=UTC)
    rows = matured_rows(joined_log()[:0], CLASSES, label_delay=timedelta(0), as_of=as_of)
    assert (rows.labelled, rows.maturity) == (0, 0.0)
