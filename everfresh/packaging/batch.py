"""Rows on their way to a model: one sequence of values per column, whatever wire they came over."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from pandas import DataFrame, Series

    from everfresh.data.columns import Column

Answer = NDArray[np.float64]
"""Probabilities [rows, classes] for classification, values [rows] for regression."""


@dataclass(frozen=True, eq=False)
class EncodedCategories:
    """A category column as a dictionary of its values and, for each row, the place in it: as Arrow sends it.

    Attributes:
        codes: places in `values`, one a row; -1 is a missing value.
        values: the dictionary; it may hold values that no row has.
    """

    codes: NDArray[np.int32]
    values: Sequence[str]

    def __len__(self) -> int:
        return len(self.codes)

    def __iter__(self) -> Iterator[str | None]:
        return iter(self.to_list())

    def to_list(self) -> list[str | None]:
        """The column row by row; None is a missing value.

        >>> EncodedCategories(np.array([1, -1, 0], dtype=np.int32), ["AA", "UA"]).to_list()
        ['UA', None, 'AA']
        """
        # -1 is the last place.
        places: list[str | None] = [*self.values, None]
        return [places[code] for code in self.codes.tolist()]


Categories = Sequence[str | None] | EncodedCategories
"""A category column: its values row by row, None where one is missing, or the same with a dictionary."""


@dataclass(frozen=True)
class Batch:
    """Rows that were checked against a model's columns: it has each of them, and may have more.

    Attributes:
        rows: how many rows there are, which is the length of every column.
        numbers: the numeric columns by name; NaN is a missing value, and none is infinite.
        categories: the category columns by name.
    """

    rows: int
    numbers: Mapping[str, NDArray[np.float64]]
    categories: Mapping[str, Categories]


def values_of(categories: Categories) -> Sequence[str | None]:
    """The values of a category column, row by row."""
    return categories.to_list() if isinstance(categories, EncodedCategories) else categories


def batch_of(frame: DataFrame, columns: Sequence[Column]) -> Batch:
    """The rows of a model frame (see `everfresh.data.frames.model_frame`) as a batch."""
    return Batch(
        rows=len(frame),
        numbers={c.name: frame[c.name].to_numpy(dtype=np.float64) for c in columns if not c.is_category},
        categories={c.name: _texts(frame[c.name]) for c in columns if c.is_category},
    )


def _texts(values: Series) -> list[str | None]:
    return [None if missing else str(text) for text, missing in zip(values, values.isna(), strict=True)]
