"""Rows on their way to a model: one sequence of values per column, whatever wire they came over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from pandas import DataFrame, Series

    from everfresh.data.columns import Column

Answer = NDArray[np.float64]
"""Probabilities [rows, classes] for classification, values [rows] for regression."""


@dataclass(frozen=True)
class Batch:
    """Rows that were checked against a model's columns: it has each of them, and may have more.

    Attributes:
        rows: how many rows there are, which is the length of every column.
        numbers: the numeric columns by name; NaN is a missing value, and none is infinite.
        categories: the category columns by name; None is a missing value.
    """

    rows: int
    numbers: Mapping[str, NDArray[np.float64]]
    categories: Mapping[str, Sequence[str | None]]


def batch_of(frame: DataFrame, columns: Sequence[Column]) -> Batch:
    """The rows of a model frame (see `everfresh.data.frames.model_frame`) as a batch."""
    return Batch(
        rows=len(frame),
        numbers={c.name: frame[c.name].to_numpy(dtype=np.float64) for c in columns if not c.is_category},
        categories={c.name: _texts(frame[c.name]) for c in columns if c.is_category},
    )


def _texts(values: Series) -> list[str | None]:
    return [None if missing else str(text) for text, missing in zip(values, values.isna(), strict=True)]
