"""Whether a compiled plan answers as the fitted pipeline does, measured on rows that are meant to break it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from everfresh.data.columns import Column
from everfresh.packaging.batch import Answer
from everfresh.packaging.compile.exactness import Change
from everfresh.packaging.compile.forks import UNSEEN
from everfresh.packaging.golden import largest_difference
from everfresh.spec.metrics import Task

TOLERANCE = 1e-9
REAL_ROWS = 1000
CATEGORIES_PER_COLUMN = 200


@dataclass(frozen=True)
class Parity:
    """What was measured.

    Attributes:
        rows: how many rows were compared.
        largest_difference: absolute for answers up to 1, relative above.
        label_flips: rows whose most probable class differs, and not because two are equally probable; 0 for regression.
    """

    rows: int
    largest_difference: float
    label_flips: int

    @property
    def holds(self) -> bool:
        """Whether the two are the same for every purpose."""
        return self.largest_difference <= TOLERANCE and self.label_flips == 0

    def __str__(self) -> str:
        flips = f", {self.label_flips:,} labels flipped" if self.label_flips else ""
        return f"largest difference {self.largest_difference:.2g} over {self.rows:,} rows{flips}"


def parity_of(expected: Answer, answer: Answer, task: Task) -> Parity:
    """How far `answer` is from what the fitted pipeline answered to the same rows."""
    flips = 0
    if task == "classification" and expected.shape == answer.shape:
        chosen = np.take_along_axis(expected, answer.argmax(axis=1)[:, np.newaxis], axis=1)[:, 0]
        flips = int((expected.max(axis=1) - chosen > TOLERANCE).sum())
    return Parity(len(expected), largest_difference(expected, answer), flips)


def parity_rows(frame: pd.DataFrame, columns: Sequence[Column], hard_rows: Sequence[Change] = ()) -> pd.DataFrame:
    """Real rows, and real rows that were made awkward: missing values, unseen categories, extremes, forks of trees.

    Args:
        frame: real rows, as a model frame; at most `REAL_ROWS` of them are taken, evenly.
        columns: the features.
        hard_rows: what else to change in a row; see `everfresh.packaging.compile.plan.CompiledPlan`.
    """
    real = frame.iloc[evenly(len(frame), REAL_ROWS)]
    changes = [*_changes(real, columns), *hard_rows]
    # Each change on another row: what it does may depend on the rest of the row.
    rows = real.iloc[np.arange(len(changes)) % len(real)]
    return pd.concat([real, _changed(rows, changes)], ignore_index=True)


def evenly(rows: int, at_most: int) -> NDArray[np.intp]:
    """Positions of at most so many rows, spread evenly from the first to the last.

    >>> evenly(10, 4).tolist()
    [0, 3, 6, 9]
    """
    return np.unique(np.linspace(0, rows - 1, min(rows, at_most)).round().astype(np.intp))


def _changes(real: pd.DataFrame, columns: Sequence[Column]) -> Iterator[Change]:
    categories = [column.name for column in columns if column.is_category]
    yield {column.name: np.nan for column in columns}
    yield dict.fromkeys(categories, UNSEEN)
    yield dict.fromkeys(categories, "")
    for column in columns:
        yield {column.name: np.nan}
        values = _categories(real[column.name], column) if column.is_category else _numbers(real[column.name])
        for value in values:
            yield {column.name: value}


def _categories(values: pd.Series, column: Column) -> list[str]:
    return [UNSEEN, *(column.values or ()), *values.dropna().unique()][:CATEGORIES_PER_COLUMN]


def _numbers(values: pd.Series) -> list[float]:
    low, high = (float(values.min()), float(values.max())) if values.notna().any() else (0.0, 1.0)
    return [low, high, low - 1e6, high + 1e6, low - 1e15, high + 1e15, 0.0, -0.0]


def _changed(rows: pd.DataFrame, changes: Sequence[Change]) -> pd.DataFrame:
    """The rows, the first one with the first change, and so on."""
    values = {str(name): rows[name].tolist() for name in rows.columns}
    for position, change in enumerate(changes):
        for name, value in change.items():
            values[name][position] = value
    return pd.DataFrame({name: pd.Series(column, dtype=rows[name].dtype) for name, column in values.items()})
