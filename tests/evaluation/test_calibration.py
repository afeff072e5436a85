from __future__ import annotations

import math

import numpy as np
import pytest

from everfresh.evaluation.calibration import calibration_error


def binary(p: np.ndarray) -> np.ndarray:
    return np.c_[1 - p, p]


def test_an_example_by_hand() -> None:
    # 10 rows at 0.2, of which 4 are late: off by 0.2. 30 rows at 0.6, of which 21 are: off by 0.1.
    p = np.r_[np.full(10, 0.2), np.full(30, 0.6)]
    y = np.array(["late"] * 4 + ["no"] * 6 + ["late"] * 21 + ["no"] * 9)
    found = calibration_error(y, binary(p), ("no", "late"))
    assert found.error == pytest.approx((10 * 0.2 + 30 * 0.1) / 40)
    by_chance = math.sqrt(2 / math.pi) * (math.sqrt(10 * 0.16) + math.sqrt(30 * 0.24)) / 40
    assert found.by_chance == pytest.approx(by_chance)


def test_of_many_classes_the_predicted_one_is_looked_at() -> None:
    answer = np.tile([0.5, 0.3, 0.2], (10, 1))
    assert calibration_error(np.array(["a"] * 7 + ["b"] * 3), answer, ("a", "b", "c")).error == pytest.approx(0.2)
    assert calibration_error(np.array(["z"] * 10), answer, ("a", "b", "c")).error == pytest.approx(0.5)


@pytest.mark.parametrize("rows", [60, 600, 6000])
def test_a_calibrated_model_shows_what_chance_gives(rows: int) -> None:
    errors, chances = [], []
    for seed in range(60):
        random = np.random.default_rng(seed)
        p = random.beta(1, 4, rows)
        found = calibration_error(np.where(random.random(rows) < p, "yes", "no"), binary(p), ("no", "yes"))
        errors.append(found.error)
        chances.append(found.by_chance)
    assert np.mean(errors) == pytest.approx(np.mean(chances), rel=0.08)


def test_an_overconfident_model_is_seen() -> None:
    random = np.random.default_rng(0)
    p = random.choice([0.05, 0.95], 4000)
    y = np.where(random.random(4000) < np.where(p > 0.5, 0.8, 0.2), "yes", "no")
    assert calibration_error(y, binary(p), ("no", "yes")).error == pytest.approx(0.15, abs=0.02)


def test_nothing_to_compare_is_no_number() -> None:
    assert math.isnan(calibration_error(np.array([], dtype=str), np.empty((0, 2)), ("no", "yes")).error)
    assert math.isnan(calibration_error(np.array(["no"]), np.array([[np.nan, 0.5]]), ("no", "yes")).error)
