from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from everfresh.monitoring import significance

KNOWN = float("inf")


@given(st.floats(0.02, 1.0), st.integers(20, 5000))
def test_the_distance_p_value_is_kolmogorovs_when_the_variance_is_known(distance: float, rows: int) -> None:
    expected = stats.kstwobign.sf(distance * np.sqrt(rows))
    assert significance.distance_p(distance, rows, KNOWN) == pytest.approx(expected, abs=2e-3, rel=1e-6)


@given(st.floats(0.0, 1.0), st.floats(1, 5000), st.floats(3, 500))
def test_an_estimated_variance_makes_no_distance_more_significant(d: float, rows: float, df: float) -> None:
    known = significance.distance_p(d, rows, KNOWN)
    assert known > 0.2 or significance.distance_p(d, rows, df) >= known


@given(st.integers(0, 60), st.integers(0, 60))
def test_the_share_p_value_doubles_the_smaller_tail_of_fishers_exact_test(before: int, after: int) -> None:
    table = [[after, 60 - after], [before, 60 - before]]
    tails = [stats.fisher_exact(table, alternative=side).pvalue for side in ("less", "greater")]
    expected = min(1.0, 2 * min(tails))
    assert significance.share_p(before / 60, after / 60, 60.0, 60.0, KNOWN) == pytest.approx(expected, rel=1e-6)


def test_the_categories_p_value_is_that_of_the_likelihood_ratio_test() -> None:
    before, after = np.array([400, 350, 250]), np.array([160, 210, 130])
    expected = stats.chi2_contingency([before, after], correction=False, lambda_="log-likelihood").pvalue
    ours = significance.categories_p(before / 1000, after / 500, 1000.0, 500.0, KNOWN)
    assert ours == pytest.approx(expected, rel=0.02)  # Williams' correction is the difference


def test_one_value_never_seen_before_is_no_surprise() -> None:
    before, after = np.array([0.6, 0.4, 0.0]), np.array([0.6, 0.398, 0.002])
    assert significance.categories_p(before, after, 50_000.0, 500.0, KNOWN) > 0.01


def test_ten_values_never_seen_before_are_one() -> None:
    before, after = np.array([0.6, 0.4, 0.0]), np.array([0.59, 0.39, 0.02])
    assert significance.categories_p(before, after, 50_000.0, 500.0, KNOWN) < 1e-9


def test_thousands_of_rare_categories_do_not_alarm_by_themselves() -> None:
    generator = np.random.default_rng(5)
    p_values = []
    for _ in range(200):
        before = np.bincount(generator.integers(0, 3000, 4000), minlength=3000) / 4000
        after = np.bincount(generator.integers(0, 3000, 500), minlength=3000) / 500
        p_values.append(significance.categories_p(before, after, 4000.0, 500.0, KNOWN))
    assert np.mean(np.array(p_values) < 0.05) <= 0.08


def test_values_beyond_the_range_are_surprising_in_exact_proportion() -> None:
    assert significance.beyond_p(0, 100, 900.0, 100.0, KNOWN) == 1.0
    assert significance.beyond_p(1, 100, 900.0, 100.0, KNOWN) == pytest.approx(0.1)
    assert significance.beyond_p(50, 100, 900.0, 100.0, KNOWN) < 1e-40


def test_values_beyond_the_range_that_are_one_spell_count_once() -> None:
    assert significance.beyond_p(50, 100, 9.0, 1.0, KNOWN) == 1.0


@pytest.mark.parametrize(("p_values", "expected"), [
    ({"a": 0.001, "b": 0.02, "c": 0.03}, {"a", "b", "c"}),
    ({"a": 0.001, "b": 0.04, "c": 0.06}, {"a"}),
    ({"a": 0.02, "b": 0.02, "c": 0.02}, set()),
    ({}, set()),
])  # fmt: skip
def test_holm_stops_at_the_first_that_fails(p_values: dict[str, float], expected: set[str]) -> None:
    assert significance.holm(p_values, 0.05) == expected


@pytest.mark.parametrize("freedom", [10.0, 30.0, KNOWN])
def test_a_critical_value_has_the_p_value_it_was_asked_for(freedom: float) -> None:
    critical = significance.critical_mean(1e-6, freedom)
    assert significance.mean_p(critical, 1.0, 2.0, 2.0, freedom) == pytest.approx(1e-6, rel=1e-6)
