from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from everfresh.evaluation.slices import slices_of


def groups(values: pd.Series) -> dict[str, list[int]]:
    return {part.name: part.rows.tolist() for part in slices_of(values)}


def test_each_value_is_a_group_and_the_missing_ones_come_last() -> None:
    assert groups(pd.Series(["b", None, "a", "b"])) == {"a": [2], "b": [0, 3], "(missing)": [1]}


@pytest.mark.parametrize(("values", "names"), [
    (pd.Series([1, 2, 1]), ["1", "2"]),
    (pd.Series([1.0, 2.5, np.nan]), ["1", "2.5", "(missing)"]),
    (pd.Series([True, False, None], dtype="boolean"), ["false", "true", "(missing)"]),
    (pd.Series(pd.Categorical(["x", None, "y"], categories=["x", "y", "z"])), ["x", "y", "(missing)"]),
    (pd.Series(pd.to_datetime(["2013-01-01", None])), ["2013-01-01 00:00:00", "(missing)"]),
    (pd.Series([None, None]), ["(missing)"]),
    (pd.Series([], dtype="float64"), []),
])  # fmt: skip
def test_whatever_the_type_of_the_column(values: pd.Series, names: list[str]) -> None:
    assert list(groups(values)) == names


def test_a_measurement_is_cut_into_quarters() -> None:
    values = pd.Series(np.arange(100.0)).sample(frac=1, random_state=0).reset_index(drop=True)
    values.iloc[:4] = np.nan
    parts = slices_of(values)
    assert [len(part.rows) for part in parts] == [24, 24, 24, 24, 4]
    assert parts[-1].name == "(missing)"
    assert values.iloc[parts[0].rows].max() < values.iloc[parts[1].rows].min()


def test_the_quarters_are_named_by_their_ends() -> None:
    assert list(groups(pd.Series(range(101)))) == ["0 to 25", "25 to 50", "50 to 75", "75 to 100"]
    times = pd.Series(pd.date_range("2013-01-01", periods=101, freq="D", tz="UTC"))
    assert next(iter(groups(times))) == "2013-01-01 00:00 to 2013-01-26 00:00"


@pytest.mark.parametrize("dtype", ["float64", "Float64", "double[pyarrow]"])
def test_an_infinity_is_missing_as_it_is_for_the_model(dtype: str) -> None:
    values = pd.Series([np.inf, -np.inf, *range(98)], dtype=dtype)
    assert groups(values)["(missing)"] == [0, 1]


def test_integers_that_may_be_missing_are_cut_too() -> None:
    values = pd.Series([None, *range(60)], dtype="Int64")
    assert [len(part.rows) for part in slices_of(values)] == [15, 15, 15, 15, 1]


def test_a_number_that_is_mostly_one_value_has_fewer_quarters() -> None:
    parts = slices_of(pd.Series([0.0] * 900 + list(range(1, 101))))
    assert sum(len(part.rows) for part in parts) == 1000
    assert len(parts) < 4


def test_every_row_is_in_exactly_one_group() -> None:
    random = np.random.default_rng(0)
    values = pd.Series(random.choice(["a", "b", "c", None], 500))
    rows = np.concatenate([part.rows for part in slices_of(values)])
    assert sorted(rows.tolist()) == list(range(500))
