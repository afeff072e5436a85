"""The table as traffic: rows go out as requests in the order of time, labels follow when they are known."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pandas as pd

from everfresh.data.columns import Column, plain_text
from everfresh.data.frames import category_values, model_frame, numbers
from everfresh.data.inference_log import count_rows
from everfresh.errors import CannotReplay
from everfresh.serving.client import Endpoint
from everfresh.spec.data import DataSpec
from everfresh.spec.metrics import Task

FLUSH_SECONDS = 20.0


@dataclass(frozen=True)
class History:
    """A table in the order of time, ready to be sent.

    Attributes:
        table: the rows.
        times: their times in UTC, ascending.
        ids: what they are called in the log; no two alike.
        labels: their labels as the server takes them, text or numbers; None where there is none.
    """

    table: pd.DataFrame
    times: pd.Series
    ids: tuple[str, ...]
    labels: tuple[str | float | None, ...]

    def between(self, start: datetime, end: datetime) -> slice:
        """The positions of the rows from `start` up to, not including, `end`."""
        low, high = (int(self.times.searchsorted(pd.Timestamp(moment))) for moment in (start, end))
        return slice(low, high)

    def rows_of(self, ids: Sequence[str]) -> pd.DataFrame:
        """The rows of these ids, in their order."""
        return self.table.iloc[pd.Index(self.ids).get_indexer(pd.Index(list(ids)))]


def history_of(table: pd.DataFrame, data: DataSpec, task: Task) -> History:
    """The history in a prepared table. A row without an id is called by its number.

    Raises:
        CannotReplay: the table has no time column.
        NotNumbers: a label of a regression is no number.
    """
    if data.time_column is None:
        raise CannotReplay("the spec has no data.time_column")
    named = table[data.id_column].map(plain_text) if data.id_column else [None] * len(table)
    labels = numbers(table[data.label]) if task == "regression" else category_values(table[data.label])
    return History(
        table=table,
        times=table[data.time_column],
        ids=tuple(f"row-{number}" if pd.isna(name) else str(name) for number, name in enumerate(named)),
        labels=tuple(labels.astype(object).where(labels.notna(), None)),
    )


def send_rows(endpoint: Endpoint, name: str, history: History, rows: slice, columns: Sequence[Column]) -> int:
    """Ask the endpoint for the rows at these positions; how many there were."""
    part = history.table.iloc[rows]
    if part.empty:
        return 0
    times = [moment.isoformat() for moment in history.times.iloc[rows]]
    endpoint.predict(name, model_frame(part, columns), ids=history.ids[rows], times=times)
    return len(part)


def send_labels(endpoint: Endpoint, name: str, history: History, rows: slice) -> int:
    """Send back the labels of the rows at these positions; how many there were."""
    known = [(i, label) for i, label in zip(history.ids[rows], history.labels[rows], strict=True) if label is not None]
    if not known:
        return 0
    return endpoint.send_labels(name, [i for i, _ in known], [label for _, label in known])


def await_log(root: Path, name: str, rows: int) -> None:
    """Wait until the inference log holds so many rows: the server writes it a moment after it has answered.

    Raises:
        CannotReplay: it does not, within 20 seconds.
    """
    deadline = time.monotonic() + FLUSH_SECONDS
    while (there := count_rows(root, name)) < rows:
        if time.monotonic() > deadline:
            raise CannotReplay(f"the inference log holds {there:,} of {rows:,} served rows; see the server's log")
        time.sleep(0.02)
