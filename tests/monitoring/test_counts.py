from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from everfresh.monitoring.counts import CategoryCounts, count_categories, count_numbers, grid_edges, hash_bucket

NUMBERS = st.lists(
    st.one_of(st.floats(-1e6, 1e6), st.sampled_from([0.0, 1.0, float("nan"), float("inf")])), max_size=60
)


@given(NUMBERS, NUMBERS)
def test_counts_of_two_stretches_add_up_to_one_count_of_both(left: list[float], right: list[float]) -> None:
    edges, low, high = [-10.0, 0.0, 0.5, 10.0], -100.0, 100.0
    merged = count_numbers(np.array(left), edges, low=low, high=high) + count_numbers(
        np.array(right), edges, low=low, high=high
    )
    at_once = count_numbers(np.array(left + right), edges, low=low, high=high)
    exact = ("bins", "missing", "below", "above", "minimum", "maximum")
    assert [getattr(merged, name) for name in exact] == [getattr(at_once, name) for name in exact]
    assert merged.mean == pytest.approx(at_once.mean, rel=1e-9, abs=1e-6)
    assert merged.sd == pytest.approx(at_once.sd, rel=1e-6, abs=1e-3)


@given(NUMBERS)
def test_every_row_is_in_one_bin_or_missing(values: list[float]) -> None:
    assert count_numbers(np.array(values), [0.0, 1.0]).rows == len(values)


def test_a_bin_holds_its_upper_edge() -> None:
    assert count_numbers(np.array([0.0, 1.0, 1.5]), [0.0, 1.0]).bins == (1, 1, 1)


def test_infinite_values_count_as_missing() -> None:
    assert count_numbers(np.array([1.0, np.inf, np.nan]), [1.0]).missing == 2


def test_values_beyond_the_range_of_the_reference_are_counted_on_their_side() -> None:
    counts = count_numbers(np.array([-1.0, 0.0, 10.0, 11.0, 12.0]), [5.0], low=0.0, high=10.0)
    assert (counts.below, counts.above) == (1, 2)


def test_a_column_of_few_values_gets_a_bin_for_each() -> None:
    assert grid_edges(np.array([3.0, 1.0, 2.0, 1.0])).tolist() == [1.0, 2.0]


def test_a_continuous_column_gets_bins_of_equal_counts() -> None:
    values = np.arange(2560, dtype=float)
    assert set(count_numbers(values, grid_edges(values)).bins) == {10}


def test_categories_are_counted_without_those_that_are_missing() -> None:
    values = pd.Series(["UA", "AA", None, "UA"], dtype="str")
    assert count_categories(values, hashed=False) == CategoryCounts({"UA": 2, "AA": 1}, missing=1)


def test_hashed_categories_are_counted_by_bucket() -> None:
    values = pd.Series(["N14228", "N14228"], dtype="str")
    assert count_categories(values, hashed=True).values == {hash_bucket("N14228"): 2}
