from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.signal import lfilter

from everfresh.monitoring.dependence import (
    Dependence,
    category_dependence,
    missing_dependence,
    number_dependence,
    time_blocks,
)

DAYS_60 = np.datetime64("2013-01-01", "us") + np.arange(60 * 144) * np.timedelta64(10, "m")


def autoregressive(rows: int, rho: float, seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).standard_normal(rows) * np.sqrt(1 - rho**2)
    return lfilter([1.0], [1.0, -rho], noise)


def test_independent_rows_count_nearly_in_full() -> None:
    effects = [number_dependence(autoregressive(8640, 0.0, s), time_blocks(DAYS_60)).design_effect for s in range(20)]
    assert 1.0 <= np.mean(effects) < 1.6


def test_the_design_effect_of_an_autoregression_is_that_of_theory() -> None:
    blocks = time_blocks(DAYS_60)
    effects = [number_dependence(autoregressive(8640, 0.9, s), blocks).design_effect for s in range(20)]
    assert np.mean(effects) == pytest.approx(1.9 / 0.1, rel=0.25)


def test_values_that_an_hour_shares_count_about_once_an_hour() -> None:
    hourly = np.repeat(np.random.default_rng(1).standard_normal(60 * 24), 6)
    assert number_dependence(hourly, time_blocks(DAYS_60)).design_effect == pytest.approx(6, rel=0.6)


def test_calm_and_wild_spells_are_dependence_although_the_level_stays() -> None:
    generator = np.random.default_rng(2)
    spells = np.repeat(generator.choice([0.2, 3.0], 60), 144) * generator.standard_normal(8640)
    assert number_dependence(spells, time_blocks(DAYS_60)).design_effect > 20


def test_categories_that_a_day_shares_count_about_once_a_day() -> None:
    daily = np.repeat(np.random.default_rng(3).integers(0, 4, 60), 144)
    assert category_dependence(daily, 4, time_blocks(DAYS_60)).design_effect == pytest.approx(144, rel=0.5)


def test_an_outage_is_dependence_of_missing_values() -> None:
    missing = np.zeros(8640, dtype=bool)
    missing[1000:1288] = True
    assert missing_dependence(missing, time_blocks(DAYS_60)).design_effect > 100


def test_a_constant_column_has_no_dependence() -> None:
    assert number_dependence(np.zeros(8640), time_blocks(DAYS_60)).design_effect == 1.0


def test_rows_without_times_are_taken_as_independent() -> None:
    assert number_dependence(np.arange(100.0), None) == Dependence()


def test_two_months_are_divided_into_days_and_two_days_into_hours() -> None:
    blocks, hours = time_blocks(DAYS_60), time_blocks(DAYS_60[:288])
    assert blocks is not None
    assert hours is not None
    assert (blocks.count, hours.count) == (60, 48)


def test_a_single_hour_is_divided_into_equally_many_rows() -> None:
    blocks = time_blocks(DAYS_60[:1] + np.arange(640) * np.timedelta64(1, "s"))
    assert blocks is not None
    assert set(np.bincount(blocks.of_row)) == {20}


def test_rows_of_one_moment_have_no_blocks() -> None:
    assert time_blocks(np.repeat(DAYS_60[:1], 1000)) is None


def test_times_with_a_zone_are_read_in_utc() -> None:
    zoned = pd.Series(pd.date_range("2013-01-01 19:00", periods=8640, freq="10min", tz="America/New_York"))
    naive = zoned.dt.tz_convert("UTC").dt.tz_localize(None)
    ours, theirs = time_blocks(zoned), time_blocks(naive)
    assert ours is not None
    assert theirs is not None
    assert (ours.of_row == theirs.of_row).all()


def test_denser_rows_share_each_hour_among_more_of_them() -> None:
    dependence = Dependence(design_effect=5.0, rows_per_hour=10.0)
    assert dependence.effective_rows(100, hours=10.0) == 20
    assert dependence.effective_rows(200, hours=10.0) == pytest.approx(200 / 9)


def test_rows_are_never_worth_less_than_one() -> None:
    assert Dependence(design_effect=1e6, rows_per_hour=1.0).effective_rows(10, hours=10.0) == 1.0


def test_a_window_of_one_block_holds_no_dependence_between_blocks() -> None:
    dependence = Dependence(design_effect=30.0, rows_per_hour=10.0, block_hours=24.0, autocorrelation=0.5)
    assert dependence.effective_rows(240, hours=24.0) == pytest.approx(24)  # 30 / 3 rows say as much as one
    assert dependence.effective_rows(240_000, hours=24_000.0) == pytest.approx(8000, rel=0.01)


@pytest.mark.parametrize("rho", [0.2, 0.6, 0.9])
@pytest.mark.parametrize("days", [1, 3, 7])
def test_the_mean_of_a_few_days_varies_as_an_autoregression_does(rho: float, days: int) -> None:
    long_run = (1 + rho) / (1 - rho)
    dependence = Dependence(long_run, rows_per_hour=1 / 24, block_hours=24.0, autocorrelation=rho)
    correlations = rho ** np.abs(np.subtract.outer(np.arange(days), np.arange(days)))
    assert dependence.effective_rows(days, hours=24.0 * days) == pytest.approx(days**2 / correlations.sum())
