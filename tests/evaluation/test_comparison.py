from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from everfresh.evaluation.comparison import MIN_BLOCKS, compare, time_blocks
from everfresh.spec.metrics import Metric

CLASSES = ("no", "yes")
START = np.datetime64("2013-01-01T00:00:00")
HOUR = np.timedelta64(1, "h")


def binary(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    p = 1 / (1 + np.exp(-logits))
    return np.c_[1 - p, p]


def equally_good(random: np.random.Generator, rows: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, and two models that are wrong in ways of their own and equally often."""
    truth = random.normal(-0.8, 1, rows)
    y = np.where(random.random(rows) < 1 / (1 + np.exp(-truth)), "yes", "no")
    first, second = truth + random.normal(0, 0.7, (2, rows))
    return y, binary(first), binary(second)


@pytest.mark.parametrize(("metric", "confidence"), [("log_loss", 0.8), ("brier", 0.95), ("roc_auc", 0.8), ("f1", 0.8)])
def test_of_equal_models_one_seems_better_as_often_as_the_confidence_allows(metric: Metric, confidence: float) -> None:
    passed = 0
    for seed in range(160):
        y, first, second = equally_good(np.random.default_rng(seed), 300)
        seen = compare(metric, y, first, second, CLASSES, confidence=confidence, seed=seed, draws=150)
        passed += seen.lower_bound > 0
    assert passed / 160 == pytest.approx(1 - confidence, abs=3.5 * math.sqrt(confidence * (1 - confidence) / 160))


def in_storms(seed: int, days: int = 50, rows_a_day: int = 20) -> tuple[np.ndarray, ...]:
    """Two equally good models whose mistakes are shared by all rows of a day, with the rows' times."""
    random = np.random.default_rng(seed)
    day = np.repeat(np.arange(days), rows_a_day)
    y = np.where(random.random(days * rows_a_day) < 1 / (1 + np.exp(-random.normal(-1, 1.5, days)[day])), "yes", "no")
    first, second = random.normal(-1, 1, (2, days))
    times = START + day * 24 * HOUR + random.integers(0, 24, len(day)) * HOUR
    return y, binary(first[day]), binary(second[day]), times


def test_rows_of_one_storm_are_not_taken_for_many() -> None:
    as_rows, as_blocks = 0, 0
    for seed in range(150):
        y, first, second, times = in_storms(seed)
        kind = {"confidence": 0.9, "seed": seed, "draws": 200}
        as_rows += compare("log_loss", y, first, second, CLASSES, **kind).lower_bound > 0
        as_blocks += compare("log_loss", y, first, second, CLASSES, times=times, **kind).lower_bound > 0
    assert as_blocks / 150 <= 0.18  # 0.10 and the width of 150 draws
    assert as_rows / 150 > 0.25  # what the blocks are there for


@pytest.mark.parametrize("metric", ["log_loss", "brier", "roc_auc", "average_precision", "accuracy", "f1"])
def test_a_clearly_better_model_is_seen_whatever_the_direction_of_the_metric(metric: Metric) -> None:
    random = np.random.default_rng(3)
    truth = random.normal(-0.8, 1.5, 2000)
    y = np.where(random.random(2000) < 1 / (1 + np.exp(-truth)), "yes", "no")
    seen = compare(
        metric, y, binary(truth), binary(truth + random.normal(0, 2, 2000)), CLASSES, confidence=0.95, seed=0
    )
    assert seen.improvement > seen.lower_bound > 0
    worse = compare(
        metric, y, binary(truth + random.normal(0, 2, 2000)), binary(truth), CLASSES, confidence=0.95, seed=0
    )
    assert worse.lower_bound < worse.improvement < 0


def test_a_regression_is_compared_too() -> None:
    random = np.random.default_rng(0)
    y = random.normal(size=500)
    seen = compare("rmse", y, y + random.normal(0, 0.5, 500), y + random.normal(0, 1, 500), confidence=0.95, seed=0)
    assert seen.improvement == pytest.approx(0.5, abs=0.1)
    assert seen.lower_bound > 0.3
    assert seen.drawn == "500 rows"


def test_the_smallest_visible_improvement_shrinks_with_the_rows() -> None:
    few = compare("log_loss", *equally_good(np.random.default_rng(0), 200), CLASSES, confidence=0.95, seed=0)
    many = compare("log_loss", *equally_good(np.random.default_rng(0), 20_000), CLASSES, confidence=0.95, seed=0)
    assert few.smallest_visible / many.smallest_visible == pytest.approx(10, rel=0.3)


def test_the_same_seed_gives_the_same_bound() -> None:
    rows = equally_good(np.random.default_rng(0), 300)
    bounds = [compare("roc_auc", *rows, CLASSES, confidence=0.9, seed=seed).lower_bound for seed in (1, 1, 2)]
    assert bounds[0] == bounds[1] != bounds[2]


def test_the_same_model_twice_is_no_improvement() -> None:
    y, answer, _ = equally_good(np.random.default_rng(0), 100)
    seen = compare("log_loss", y, answer, answer, CLASSES, confidence=0.95, seed=0)
    assert (seen.improvement, seen.lower_bound) == (0.0, 0.0)


def test_draws_without_a_score_are_not_counted_and_too_many_of_them_give_no_bound() -> None:
    _, first, second = equally_good(np.random.default_rng(0), 100)
    one_late = np.where(np.arange(100) == 0, "yes", "no")
    assert math.isnan(compare("roc_auc", one_late, first, second, CLASSES, confidence=0.95, seed=0).lower_bound)
    few_late = np.where(np.arange(100) < 6, "yes", "no")
    assert math.isfinite(compare("roc_auc", few_late, first, second, CLASSES, confidence=0.95, seed=0).lower_bound)


@pytest.mark.parametrize(("hours", "name"), [
    (31 * 7 * 24, "blocks of a week"),
    (31 * 24, "blocks of a day"),
    (31 * 6, "blocks of 6 hours"),
    (31, "blocks of an hour"),
    (20, "stretches of neighbouring rows"),
])  # fmt: skip
def test_blocks_are_the_longest_of_which_there_are_enough(hours: int, name: str) -> None:
    blocks = time_blocks(START + np.arange(hours * 4) * np.timedelta64(15, "m"))
    assert blocks.name == name
    assert blocks.count >= MIN_BLOCKS
    assert set(blocks.of_row) == set(range(blocks.count))


def test_rows_of_one_moment_are_cut_into_stretches() -> None:
    blocks = time_blocks(np.repeat(START, 90))
    assert np.bincount(blocks.of_row).tolist() == [3] * MIN_BLOCKS


def test_fewer_rows_than_blocks_are_single_rows() -> None:
    blocks = time_blocks(np.array([START + HOUR, START]))
    assert (blocks.count, blocks.of_row.tolist()) == (2, [1, 0])
    assert time_blocks(np.array([], dtype="datetime64[us]")).count == 0


def test_times_before_1970_and_rows_without_a_time_have_blocks_too() -> None:
    times = np.r_[np.datetime64("1969-06-01T00:00:00") + np.arange(400) * 24 * HOUR, [np.datetime64("NaT", "s")] * 2]
    blocks = time_blocks(times.astype("datetime64[ns]"))
    assert blocks.name == "blocks of a week"
    assert blocks.of_row[-1] == blocks.of_row[-2]
    assert np.bincount(blocks.of_row)[blocks.of_row[-1]] == 2
