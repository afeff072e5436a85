from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from everfresh.data.table import prepare_table
from everfresh.errors import CannotReplay, NotNumbers
from everfresh.replay import traffic
from everfresh.replay.traffic import History, await_log, history_of
from everfresh.settings import Settings
from everfresh.spec.metrics import Task
from everfresh.testing.projects import day, open_in_memory, write_project


def history(checkout: Settings, table: pd.DataFrame, label: str = "late", **data: object) -> History:
    spec = open_in_memory(write_project(checkout.projects, table, label=label, data=data), checkout).spec
    return history_of(prepare_table(table, spec.data, "rides").frame, spec.data, spec.task)


def test_rows_between_two_moments_are_found_by_their_times(checkout: Settings, table: pd.DataFrame) -> None:
    found = history(checkout, table)
    whole, part = found.between(day(0), day(75)), found.between(day(10), day(11))

    assert whole == slice(0, len(table))
    assert found.times.iloc[part].between(pd.Timestamp(day(10)), pd.Timestamp(day(11)), inclusive="left").all()
    assert found.times.iloc[part.start - 1] < pd.Timestamp(day(10))
    assert found.times.iloc[part.stop] >= pd.Timestamp(day(11))
    assert found.between(day(80), day(90)) == slice(len(table), len(table))


def test_a_moment_belongs_to_the_stretch_that_it_begins(checkout: Settings, table: pd.DataFrame) -> None:
    found = history(checkout, table)
    moment = found.times.iloc[100].to_pydatetime()

    assert found.between(moment, day(75)).start == found.times.searchsorted(found.times.iloc[100])


def test_rows_without_an_id_are_called_by_their_number(checkout: Settings, table: pd.DataFrame) -> None:
    some = history(checkout, table.assign(ride=table["ride"].where(table.index % 2 == 0)))
    none = history(checkout, table, id_column=None)

    assert len(set(some.ids)) == len(set(none.ids)) == len(table)
    assert some.ids[:2] == ("r0-0", "row-1")
    assert none.ids[:2] == ("row-0", "row-1")
    assert some.rows_of(["row-1", "r0-0"]).index.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("label", "values", "expected"),
    [
        ("late", ["yes", None], ("yes", None)),
        ("late", pd.array([1, None], dtype="Int64"), ("1", None)),
        ("late", [1.0, np.nan], ("1", None)),
        ("minutes", [12.5, np.nan], (12.5, None)),
        ("minutes", pd.array([12, None], dtype="Int64"), (12.0, None)),
    ],
)
def test_labels_are_what_the_server_takes(
    checkout: Settings, table: pd.DataFrame, label: str, values: object, expected: tuple[object, ...]
) -> None:
    two = table.head(2).assign(**{label: values})

    assert history(checkout, two, label).labels == expected


def test_a_table_without_times_has_no_history(checkout: Settings, table: pd.DataFrame) -> None:
    spec = {"time_column": None, "label_delay": "0d", "split": {"kind": "random"}}
    with pytest.raises(CannotReplay, match=r"the spec has no data\.time_column"):
        history(checkout, table, **spec)


def test_a_label_that_is_no_number_is_said_before_anything_starts(checkout: Settings, table: pd.DataFrame) -> None:
    task: Task = "regression"
    spec = open_in_memory(write_project(checkout.projects, table, label="minutes"), checkout).spec
    frame = prepare_table(table.assign(minutes="soon"), spec.data, "rides").frame

    with pytest.raises(NotNumbers):
        history_of(frame, spec.data, task)


def test_a_log_that_does_not_fill_is_not_waited_for_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traffic, "FLUSH_SECONDS", 0.05)

    await_log(tmp_path, "rides", 0)
    with pytest.raises(CannotReplay, match="the inference log holds 0 of 7 served rows"):
        await_log(tmp_path, "rides", 7)
