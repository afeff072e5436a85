from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from everfresh.data.splits import FEWEST_ROWS, VALIDATION_SHARE, Split, split_rows
from everfresh.errors import CannotSplit
from everfresh.spec.data import DataSpec
from everfresh.spec.metrics import Task

START = datetime(2013, 7, 1, tzinfo=UTC)


def spec(**keys: Any) -> DataSpec:
    return DataSpec.model_validate({"source": {"kind": "csv", "path": "x.csv"}, "label": "late"} | keys)


def split(table: pd.DataFrame, data: DataSpec, task: Task = "classification", seed: int = 0) -> Split:
    return split_rows(table, data, task=task, seed=seed)


def sizes(found: Split) -> tuple[int, int, int]:
    return len(found.train), len(found.validation), len(found.holdout)


def check_positions(found: Split, rows: int) -> None:
    """Ascending positions, each row on exactly one side."""
    for side in (found.train, found.validation, found.holdout):
        assert side.dtype == np.intp
        assert (np.diff(side) > 0).all()
    assert sorted(np.concatenate([found.train, found.validation, found.holdout])) == list(range(rows))


# --- by time ------------------------------------------------------------------------------------


def at_times(days: list[float]) -> pd.DataFrame:
    times = pd.Series([START + timedelta(days=day) for day in days], dtype="datetime64[us, UTC]")
    return pd.DataFrame({"at": times, "late": [place % 2 for place in range(len(days))]})


def by_time(holdout: object) -> DataSpec:
    return spec(time_column="at", split={"kind": "time", "holdout": holdout})


def test_the_newest_days_are_held_out_and_the_days_before_them_choose() -> None:
    found = split(at_times([day / 10 for day in range(1000)]), by_time("10d"))

    assert sizes(found) == (800, 100, 100)
    assert found.holdout[0] == 900
    assert found.validation[0] == 800


def test_validation_takes_at_most_a_quarter_of_what_is_left() -> None:
    assert sizes(split(at_times(list(range(100))), by_time("40d"))) == (45, 15, 40)
    assert sizes(split(at_times(list(range(100))), by_time(0.4))) == (45, 15, 40)


def test_without_a_split_in_the_spec_the_newest_fifth_is_held_out() -> None:
    assert sizes(split(at_times(list(range(100))), spec(time_column="at"))) == (60, 20, 20)


def test_a_holdout_in_days_is_a_stretch_of_time_however_many_rows_it_has() -> None:
    quiet, busy = [float(day) for day in range(100)], [95 + place / 100 for place in range(400)]

    found = split(at_times(sorted(quiet + busy)), by_time("10d"))

    assert len(found.holdout) == 10 + 400
    assert len(found.validation) == 10


def test_a_stretch_without_rows_before_the_holdout_does_not_leave_validation_empty() -> None:
    days = [*range(100), *range(120, 130)]

    found = split(at_times(days), by_time("10d"))

    assert sizes(found) == (95, FEWEST_ROWS, 10)


def test_rows_need_not_be_in_order() -> None:
    days = [7.0, 2.0, 9.0, 0.0, 5.0, 1.0, 8.0, 3.0, 6.0, 4.0] * 3

    found = split(at_times(days), by_time(0.2))

    check_positions(found, 30)
    assert {days[place] for place in found.holdout} == {8.0, 9.0}
    assert {days[place] for place in found.validation} == {6.0, 7.0}


@settings(max_examples=150)
@given(
    days=st.lists(st.integers(0, 40).map(lambda day: day / 4), min_size=1, max_size=80),
    holdout=st.one_of(st.floats(0.05, 0.9), st.integers(1, 9).map(lambda days: f"{days}d")),
)
def test_no_time_is_on_two_sides_and_later_sides_are_later(days: list[float], holdout: object) -> None:
    table = at_times(days)
    try:
        found = split(table, by_time(holdout), task="regression")
    except CannotSplit:
        return
    check_positions(found, len(days))
    train, validation, held = (table["at"].iloc[side] for side in (found.train, found.validation, found.holdout))
    assert train.max() < validation.min()
    assert validation.max() < held.min()
    assert min(sizes(found)) >= FEWEST_ROWS
    if isinstance(holdout, str):
        stretch = pd.Timedelta(holdout)
        assert held.min() > table["at"].max() - stretch
        assert validation.max() <= table["at"].max() - stretch


@pytest.mark.parametrize(
    ("days", "holdout", "why"),
    [
        (range(10), "10d", r"its rows span 9\.0 days, and the holdout alone is 10d"),
        (range(10), "14d", r"its rows span 9\.0 days"),
        ([1] * 50, 0.2, "50 rows of the same moment, 2013-07-02"),
        ([1] * 50 + [9] * 50, "3d", "50 rows of the same moment"),
        (range(10), 0.2, "of 10 rows, holdout would get 2 and needs 5"),
        ([*range(30), 60], "14d", "of 31 rows, holdout would get 1"),
    ],
)
def test_a_table_that_time_cannot_split_says_why(days: list[float], holdout: object, why: str) -> None:
    with pytest.raises(CannotSplit, match=f"{why}.*Change data.split, or bring more rows"):
        split(at_times(list(days)), by_time(holdout))


def test_one_class_to_train_on_is_refused() -> None:
    table = at_times(list(range(100))).assign(late=[0] * 70 + [1] * 30)

    with pytest.raises(CannotSplit, match="all 60 rows to train on have the label '0'"):
        split(table, by_time(0.2))
    assert sizes(split(table, by_time(0.2), task="regression")) == (60, 20, 20)


def test_rows_without_a_time_cannot_be_split_by_it() -> None:
    table = at_times(list(range(50)))
    table.loc[3, "at"] = pd.NaT

    with pytest.raises(CannotSplit, match="rows without a time in 'at'"):
        split(table, by_time(0.2))


# --- by groups ----------------------------------------------------------------------------------


def in_groups(groups: list[object]) -> pd.DataFrame:
    return pd.DataFrame({"plane": pd.Series(groups, dtype=object), "late": [place % 2 for place in range(len(groups))]})


def by_group(holdout: float = 0.2) -> DataSpec:
    return spec(split={"kind": "grouped", "by": "plane", "holdout": holdout})


@settings(max_examples=100)
@given(
    groups=st.lists(st.sampled_from(["a", "b", "c", "d", "e", "f", None, 5, 5.0, "5"]), min_size=1, max_size=80),
    holdout=st.floats(0.05, 0.9),
    seed=st.integers(0, 2**64),
)
def test_a_group_is_never_on_two_sides(groups: list[object], holdout: float, seed: int) -> None:
    try:
        found = split(in_groups(groups), by_group(holdout), task="regression", seed=seed)
    except CannotSplit:
        return
    check_positions(found, len(groups))
    sides = [{_name(groups[place]) for place in side} for side in (found.train, found.validation, found.holdout)]
    assert not sides[0] & sides[1]
    assert not sides[0] & sides[2]
    assert not sides[1] & sides[2]


def _name(group: object) -> str:
    return "5" if group in (5, "5") else str(group)


def test_groups_of_usual_sizes_meet_the_share() -> None:
    rng = np.random.default_rng(0)
    groups = [f"N{number}" for number in rng.integers(0, 300, size=10_000)]

    train, validation, holdout = sizes(split(in_groups(list(groups)), by_group(0.2)))

    assert holdout == pytest.approx(2000, abs=40)
    assert validation == pytest.approx(2000, abs=40)
    assert train + validation + holdout == 10_000


def test_a_group_that_is_larger_than_the_holdout_is_learned_from() -> None:
    groups = ["giant"] * 700 + [f"N{place // 10}" for place in range(300)]

    for seed in range(5):
        found = split(in_groups(list(groups)), by_group(0.2), seed=seed)
        assert set(range(700)) <= set(found.train)
        assert len(found.holdout) == pytest.approx(200, abs=10)


def test_another_seed_draws_other_groups_and_the_same_seed_the_same() -> None:
    table = in_groups([f"N{place // 10}" for place in range(1000)])

    drawn = [split(table, by_group(), seed=seed).holdout.tolist() for seed in (0, 1, 0)]

    assert drawn[0] == drawn[2]
    assert drawn[0] != drawn[1]


def test_most_groups_stay_on_their_side_when_new_ones_come() -> None:
    before = [f"N{place // 10}" for place in range(5000)]
    after = before + [f"M{place // 10}" for place in range(500)]

    old, new = split(in_groups(list(before)), by_group()), split(in_groups(list(after)), by_group())

    assert len(set(old.train) & set(new.holdout)) < 0.03 * 5500


@pytest.mark.parametrize(
    ("groups", "why"),
    [
        (["a"] * 50, "'plane' has 1 different values?, and the three sides need one each"),
        (["a"] * 25 + ["b"] * 25, "'plane' has 2 different values"),
        ([None] * 50, "'plane' has 1"),
        (["a"] * 50 + ["b"] * 2 + ["c"] * 2, "would get 2 and needs 5"),
    ],
)
def test_groups_that_are_too_few_or_too_small_are_told(groups: list[object], why: str) -> None:
    with pytest.raises(CannotSplit, match=why):
        split(in_groups(groups), by_group())


# --- at random ----------------------------------------------------------------------------------


@settings(max_examples=100)
@given(
    labels=st.lists(st.sampled_from(["a", "b", "c", "d"]), min_size=1, max_size=120),
    holdout=st.floats(0.05, 0.9),
    seed=st.integers(0, 2**64),
    task=st.sampled_from(["classification", "regression"]),
)
def test_each_row_is_on_one_side_and_classes_are_in_proportion(
    labels: list[str], holdout: float, seed: int, task: Task
) -> None:
    table = pd.DataFrame({"late": labels})
    try:
        found = split(table, spec(split={"kind": "random", "holdout": holdout}), task=task, seed=seed)
    except CannotSplit:
        return
    check_positions(found, len(labels))
    if task == "regression":
        assert abs(len(found.holdout) - holdout * len(labels)) <= 1
        return
    counts = table["late"].value_counts()
    held = table["late"].iloc[found.holdout].value_counts().reindex(counts.index, fill_value=0)
    assert set(table["late"].iloc[found.train]) == set(labels)
    assert (held[counts < 3] == 0).all()
    assert (abs(held - holdout * counts)[counts >= 3] <= 2).all()


def test_a_fifth_is_held_out_and_as_many_rows_choose() -> None:
    table = pd.DataFrame({"late": [0, 0, 0, 0, 1] * 200})

    found = split(table, spec())

    assert sizes(found) == (600, 200, 200)
    assert [int(table["late"].iloc[side].sum()) for side in (found.train, found.validation, found.holdout)] == [
        120,
        40,
        40,
    ]
    assert len(split(table, spec(split={"kind": "random", "holdout": 0.6})).validation) == 400 * VALIDATION_SHARE


def test_a_row_with_an_id_stays_on_its_side_when_rows_are_added_or_come_in_another_order() -> None:
    table = pd.DataFrame({"row": [f"r{place}" for place in range(2000)], "late": [0, 1] * 1000})
    more = pd.DataFrame({"row": [f"s{place}" for place in range(400)], "late": [0, 1] * 200})
    data = spec(id_column="row")

    def held(rows: pd.DataFrame) -> set[str]:
        return set(rows["row"].iloc[split(rows, data).holdout])

    before = held(table)
    grown = pd.concat([table, more], ignore_index=True)
    learned = set(grown["row"].iloc[split(grown, data).train])

    assert held(table.sample(frac=1, random_state=0, ignore_index=True)) == before
    assert len(before & learned) < 0.05 * len(before)


def test_without_an_id_the_seed_decides() -> None:
    table = pd.DataFrame({"late": [0, 1] * 100})

    drawn = [split(table, spec(), seed=seed).holdout.tolist() for seed in (0, 1, 0)]

    assert drawn[0] == drawn[2] != drawn[1]


@pytest.mark.parametrize(
    ("labels", "why"), [([0, 1] * 5, "of 10 rows, holdout would get 2"), ([1] * 100, "the label '1'")]
)
def test_rows_that_are_too_few_or_of_one_class_are_told(labels: list[int], why: str) -> None:
    with pytest.raises(CannotSplit, match=why):
        split(pd.DataFrame({"late": labels}), spec())


def test_a_third_of_a_million_rows_are_split_in_no_time() -> None:
    rows = 330_000
    table = pd.DataFrame(
        {"row": [f"r{place}" for place in range(rows)], "late": np.arange(rows) % 2, "plane": np.arange(rows) // 99}
    )
    table["at"] = pd.Timestamp(START) + pd.to_timedelta(np.arange(rows), unit="min")

    for data in (spec(id_column="row"), by_group(), by_time("14d")):
        check_positions(split(table, data), rows)
