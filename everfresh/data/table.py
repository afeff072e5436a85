"""A project's table, made ready to learn from, and the rows of it that are known at a moment."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd

from everfresh.data.frames import category_values, numbers
from everfresh.data.sources import read_source, source_name
from everfresh.data.times import utc_times
from everfresh.errors import (
    ContradictoryIds,
    DuplicateColumns,
    EmptyTable,
    MissingColumn,
    NoKnownRows,
    NoLabels,
    NotNumbers,
    OneClass,
    UnparsableTimes,
)
from everfresh.settings import Settings
from everfresh.spec.data import DataSpec, GroupedSplit
from everfresh.spec.loading import Project
from everfresh.spec.metrics import Task

GAP = 10
"""A stretch without rows is noted if it is longer than so many times the usual one between two days with rows."""

_EXAMPLES = 3


@dataclass(frozen=True)
class Table:
    """A table, and what a person should know of how it was read."""

    frame: pd.DataFrame
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class KnownRows:
    """The rows that can be learned from at the moment `as_of`; None where the table has no time column."""

    frame: pd.DataFrame
    as_of: datetime | None


def load_table(project: Project, settings: Settings) -> Table:
    """The project's table, read from its source and prepared.

    Raises:
        DataError: there is no table, or nothing can be learned from it; the class says which.
        ImportRefused: a python source may not be imported.
        ImportFailed: a python source is not there.
        MissingExtra: a driver is not installed.
    """
    data = project.spec.data
    # What may be written as 007: read as a number, it would be another category, or the id of another row.
    codes = [name for name, column in data.columns.items() if column.dtype == "category"]
    frame = read_source(
        data.source,
        directory=project.directory,
        allowed=settings.allowed_imports,
        environment={**os.environ, "EVERFRESH_ROOT": str(settings.root)},
        texts=[*codes, data.id_column] if data.id_column else codes,
    )
    return prepare_table(frame, data, source_name(data.source))


def prepare_table(frame: pd.DataFrame, data: DataSpec, what: str) -> Table:
    """`frame` with its times in UTC and in their order, and without copies of a row. `what` names it in errors.

    Rows without a time are left out: they can be neither in a window nor on a side of a split. Rows without a label
    stay, for labels are late. Rows without an id stay, too: nothing says that they are copies.

    Raises:
        EmptyTable: it has no rows.
        DuplicateColumns: two of its columns have the same name.
        MissingColumn: a column that the spec names is not there.
        UnparsableTimes: the time column, or one that is declared as datetime, holds something else.
        ContradictoryIds: rows with the same id differ.
    """
    frame = _as_columns(frame)
    if frame.empty:
        raise EmptyTable(what)
    if twice := [name for name, count in Counter(frame.columns).items() if count > 1]:
        raise DuplicateColumns(what, twice)
    _check_columns(frame, data)
    frame = _with_times(frame, data)
    notes: list[str] = []
    for step in (_only_with_time, _without_copies, _in_time):
        frame, found = step(frame, data)
        notes += found
    return Table(frame, (*notes, *_lacks(frame, data)))


def known_rows(table: Table, data: DataSpec, *, window: timedelta | None, as_of: datetime | None) -> KnownRows:
    """The labelled rows that could be known at `as_of`: those at least `data.label_delay` older than it.

    The window is counted back from the newest moment whose labels are known: with a delay of one day and a window of
    seven, they are the rows older than one day and not older than eight.

    Args:
        table: a prepared table.
        data: the spec's section.
        window: how long a stretch of time; None for all that is known.
        as_of: a moment, in UTC if it has no zone; None for the one at which the newest row's label is known. Tables
            without a time column have no such moment, and all of their labelled rows are known.

    Raises:
        NoKnownRows: no row lies in the window.
        NoLabels: none of those that do has a label.
    """
    if data.time_column is None:
        return KnownRows(_labelled(table.frame, data), as_of=None)
    times = table.frame[data.time_column]
    moment = _utc(as_of) if as_of is not None else (times.max() + data.label_delay).to_pydatetime()
    age = moment - data.label_delay - times
    inside = age >= timedelta(0)
    if window is not None:
        inside &= age < window
    if not inside.any():
        raise NoKnownRows(moment, oldest=times.min().to_pydatetime(), newest=times.max().to_pydatetime())
    return KnownRows(_labelled(table.frame[inside], data), as_of=moment)


def check_labels(frame: pd.DataFrame, data: DataSpec, task: Task) -> None:
    """Make sure that the labels of known rows can be learned.

    Raises:
        NoLabels: there is none.
        OneClass: they are all the same, and the task is to tell classes apart.
        NotNumbers: they are no finite numbers, and the task is to predict one.
    """
    labels = _labelled(frame, data)[data.label]
    if task == "regression":
        values = numbers(labels)
        endless = values[~np.isfinite(values)]
        if len(endless):
            raise NotNumbers(data.label, len(endless), [str(value) for value in endless.unique()])
        return
    classes = category_values(labels).unique()
    if len(classes) == 1:
        raise OneClass(data.label, str(classes[0]), len(labels))


def _as_columns(frame: pd.DataFrame) -> pd.DataFrame:
    """All that has a name is a column, and names are text."""
    named = any(name is not None for name in frame.index.names)
    frame = frame.reset_index(drop=not named)
    return frame.set_axis([str(name) for name in frame.columns], axis="columns")


def _check_columns(frame: pd.DataFrame, data: DataSpec) -> None:
    for name, role in _needed(data):
        if name not in frame.columns:
            raise MissingColumn(name, role, list(frame.columns))


def _needed(data: DataSpec) -> Iterator[tuple[str, str]]:
    yield data.label, "the label"
    if data.time_column is not None:
        yield data.time_column, "the time column"
    if data.id_column is not None:
        yield data.id_column, "the id column"
    if isinstance(data.split, GroupedSplit):
        yield data.split.by, "what the split groups by"
    for name, column in data.columns.items():
        if column.dtype != "ignore":
            yield name, "declared under data.columns"


def _with_times(frame: pd.DataFrame, data: DataSpec) -> pd.DataFrame:
    declared = [name for name, column in data.columns.items() if column.dtype == "datetime"]
    names = dict.fromkeys(name for name in (data.time_column, *declared) if name is not None)
    return frame.assign(**{name: utc_times(frame[name]) for name in names})


def _only_with_time(frame: pd.DataFrame, data: DataSpec) -> tuple[pd.DataFrame, list[str]]:
    if data.time_column is None:
        return frame, []
    has_time = frame[data.time_column].notna()
    missing = int((~has_time).sum())
    if missing == 0:
        return frame, []
    if missing == len(frame):
        raise UnparsableTimes(data.time_column, missing, ["nothing at all"])
    return frame[has_time], [f"{_rows(missing)} without a time in {data.time_column!r} left out"]


def _without_copies(frame: pd.DataFrame, data: DataSpec) -> tuple[pd.DataFrame, list[str]]:
    if data.id_column is None:
        return frame, []
    ids = category_values(frame[data.id_column])
    repeated = ids.duplicated(keep=False) & ids.notna()
    if not repeated.any():
        return frame, []
    rows = _comparable(frame[repeated].assign(**{data.id_column: ids[repeated]}))
    different = rows.drop_duplicates()[data.id_column]
    contradictory = different[different.duplicated()].unique()
    if len(contradictory):
        raise ContradictoryIds(data.id_column, len(contradictory), list(map(repr, contradictory[:_EXAMPLES])))
    copies = ids.duplicated() & ids.notna()
    return frame[~copies], [f"{_rows(int(copies.sum()))} left out: copies of one with the same {data.id_column!r}"]


def _comparable(rows: pd.DataFrame) -> pd.DataFrame:
    """Lists and the like as text, for they cannot be compared as a whole."""
    return rows.assign(**{name: rows[name].map(repr) for name in rows.columns if rows[name].dtype == object})


def _in_time(frame: pd.DataFrame, data: DataSpec) -> tuple[pd.DataFrame, list[str]]:
    if data.time_column is None:
        return frame.reset_index(drop=True), []
    times = frame[data.time_column]
    if times.is_monotonic_increasing:
        return frame.reset_index(drop=True), list(_gap(times))
    frame = frame.sort_values(data.time_column, kind="stable", ignore_index=True)
    return frame, [
        f"rows were not in the order of {data.time_column!r} and have been sorted",
        *_gap(frame[data.time_column]),
    ]


def _gap(times: pd.Series) -> Iterator[str]:
    """The longest stretch without rows, where it is out of the ordinary."""
    days = times.dt.floor("D").drop_duplicates()
    distances = days.diff().dropna()
    if len(distances) and distances.max() > max(GAP * distances.median(), timedelta(days=1)):
        until = distances.idxmax()
        start, end = times.loc[:until].iloc[-2], times.loc[until]
        yield f"no rows for {(end - start).days} days, from {start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC"


def _lacks(frame: pd.DataFrame, data: DataSpec) -> Iterator[str]:
    if data.id_column is not None and (count := int(frame[data.id_column].isna().sum())):
        yield f"{_rows(count)} without an id in {data.id_column!r}: no later label can be matched with them"
    if count := int(frame[data.label].isna().sum()):
        yield f"{_rows(count)} without a label in {data.label!r}: not learned from"


def _labelled(frame: pd.DataFrame, data: DataSpec) -> pd.DataFrame:
    has_label = frame[data.label].notna()
    if not has_label.any():
        raise NoLabels(data.label, len(frame))
    return frame[has_label].reset_index(drop=True)


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count:,} rows"
