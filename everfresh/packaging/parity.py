"""Whether a compiled plan answers as the fitted pipeline does, measured on rows that are meant to break it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline

from everfresh.data.columns import Column
from everfresh.packaging.batch import batch_of
from everfresh.packaging.golden import largest_difference
from everfresh.packaging.pipelines import pipeline_answer
from everfresh.packaging.scorer import Scorer
from everfresh.spec.metrics import Task

TOLERANCE = 1e-9
REAL_ROWS = 1000
THRESHOLDS_PER_COLUMN = 30


@dataclass(frozen=True)
class Parity:
    """What was measured.

    Attributes:
        rows: how many rows were compared.
        largest_difference: absolute for answers up to 1, relative above.
        label_flips: rows whose most probable class differs; 0 for regression.
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


def measure_parity(
    scorer: Scorer, pipeline: Pipeline, frame: pd.DataFrame, columns: Sequence[Column], task: Task
) -> Parity:
    """Compare a scorer with the fitted pipeline on the rows of a model frame."""
    expected = pipeline_answer(pipeline, frame, task)
    answer = scorer.score(batch_of(frame, columns))
    flips = 0
    if task == "classification" and expected.shape == answer.shape:
        flips = int((expected.argmax(axis=1) != answer.argmax(axis=1)).sum())
    return Parity(len(frame), largest_difference(expected, answer), flips)


def parity_rows(
    frame: pd.DataFrame, columns: Sequence[Column], thresholds: Mapping[str, NDArray[np.float64]]
) -> pd.DataFrame:
    """Real rows and awkward ones: missing values, unseen categories, extremes, both sides of thresholds.

    Args:
        frame: real rows, as a model frame; at most `REAL_ROWS` of them are taken, evenly.
        columns: the features.
        thresholds: where trees split a column; rows come to lie on them and one representable number beside.
    """
    real = frame.iloc[evenly(len(frame), REAL_ROWS)]
    typical = real.iloc[[0]]
    awkward = [_changed(typical, change) for change in _changes(real, columns, thresholds)]
    return pd.concat([real, *awkward], ignore_index=True)


def evenly(rows: int, at_most: int) -> NDArray[np.intp]:
    """Positions of at most so many rows, spread evenly from the first to the last.

    >>> evenly(10, 4).tolist()
    [0, 3, 6, 9]
    """
    return np.unique(np.linspace(0, rows - 1, min(rows, at_most)).round().astype(np.intp))


def _changes(
    real: pd.DataFrame, columns: Sequence[Column], thresholds: Mapping[str, NDArray[np.float64]]
) -> Iterator[Mapping[str, float | str]]:
    categories = [column.name for column in columns if column.is_category]
    yield {column.name: np.nan for column in columns}
    yield dict.fromkeys(categories, "a category that training never saw")
    yield dict.fromkeys(categories, "")
    for column in columns:
        yield {column.name: np.nan}
        if column.is_category:
            yield from (_one(column, value) for value in _categories(real[column.name], column))
        else:
            yield from (_one(column, value) for value in _numbers(real[column.name], thresholds.get(column.name)))


def _one(column: Column, value: float | str) -> Mapping[str, float | str]:
    return {column.name: value}


def _categories(values: pd.Series, column: Column) -> list[str]:
    return ["never seen", *(column.values or ()), *values.dropna().unique()][:200]


def _numbers(values: pd.Series, thresholds: NDArray[np.float64] | None) -> list[float]:
    low, high = (float(values.min()), float(values.max())) if values.notna().any() else (0.0, 1.0)
    found = [low, high, low - 1e6, high + 1e6, 0.0, -0.0]
    if thresholds is not None and len(thresholds):
        finite = np.unique(thresholds[np.isfinite(thresholds)])
        chosen = finite[evenly(len(finite), THRESHOLDS_PER_COLUMN)] if len(finite) else finite
        found += [*chosen, *np.nextafter(chosen, -np.inf), *np.nextafter(chosen, np.inf)]
    return found


def _changed(row: pd.DataFrame, change: Mapping[str, float | str]) -> pd.DataFrame:
    return row.assign(
        **{name: pd.Series([value], index=row.index, dtype=row[name].dtype) for name, value in change.items()}
    )
