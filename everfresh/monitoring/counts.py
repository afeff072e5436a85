"""What a stretch of rows holds, as counts that add up: two hours merge into what one pass over both would give."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

    Floats = np.ndarray[Any, np.dtype[np.float64]]

MOST_VALUES = 1000  # distinct categories that are counted by name; beyond it, they are counted by hash bucket
HASH_BUCKETS = 256


@dataclass(frozen=True)
class NumberCounts:
    """How the values of a number column fall on the reference's grid.

    Attributes:
        bins: rows per bin; bin i holds edges[i-1] < value <= edges[i], the outer two are open.
        missing: rows without a value; infinite values count as missing, as they do for the model.
        below: rows under the reference's smallest value (they are in the first bin, too).
        above: rows over the reference's largest value (they are in the last bin, too).
        minimum: the smallest value, None without values.
        maximum: the largest value, None without values.
        mean: the mean, 0 without values.
        sd: the standard deviation of these rows (divided by n), 0 without values.
    """

    bins: tuple[int, ...]
    missing: int
    below: int
    above: int
    minimum: float | None
    maximum: float | None
    mean: float
    sd: float

    @property
    def present(self) -> int:
        """Rows with a value."""
        return sum(self.bins)

    @property
    def rows(self) -> int:
        """All rows."""
        return self.present + self.missing

    def __add__(self, other: NumberCounts) -> NumberCounts:
        """The counts of both stretches of rows; they must have been counted on the same edges."""
        mean, sd = _pooled(self, other)
        return NumberCounts(
            bins=tuple(a + b for a, b in zip(self.bins, other.bins, strict=True)),
            missing=self.missing + other.missing,
            below=self.below + other.below,
            above=self.above + other.above,
            minimum=min((x for x in (self.minimum, other.minimum) if x is not None), default=None),
            maximum=max((x for x in (self.maximum, other.maximum) if x is not None), default=None),
            mean=mean,
            sd=sd,
        )


@dataclass(frozen=True)
class CategoryCounts:
    """Rows per category, and rows without one."""

    values: Mapping[str, int]
    missing: int

    @property
    def present(self) -> int:
        """Rows with a value."""
        return sum(self.values.values())

    @property
    def rows(self) -> int:
        """All rows."""
        return self.present + self.missing

    def __add__(self, other: CategoryCounts) -> CategoryCounts:
        """The counts of both stretches of rows."""
        values = dict(self.values)
        for value, count in other.values.items():
            values[value] = values.get(value, 0) + count
        return CategoryCounts(values=values, missing=self.missing + other.missing)


def grid_edges(values: Floats, bins: int = 256) -> Floats:
    """The inner edges of a grid with about as many of `values` in each of its `bins` bins.

    A column of at most `bins` distinct values gets one bin per value: such a grid loses nothing.

    >>> grid_edges(np.array([0.0, 0.0, 0.0, 1.0, 2.0])).tolist()
    [0.0, 1.0]
    """
    distinct = np.unique(values)
    if len(distinct) <= bins:
        return distinct[:-1]
    return np.unique(np.quantile(values, np.linspace(0, 1, bins + 1)[1:-1], method="inverted_cdf"))


def count_numbers(
    values: Floats, edges: Sequence[float] | Floats, *, low: float | None = None, high: float | None = None
) -> NumberCounts:
    """The counts of `values` on `edges`; `low` and `high` are the reference's range, None where there is none yet."""
    # Sorting the values and looking the few edges up in them is several times faster than the other way round.
    present = np.sort(values[np.isfinite(values)])
    upto = np.searchsorted(present, np.asarray(edges, dtype=np.float64), side="right")
    return NumberCounts(
        bins=tuple(np.diff(upto, prepend=0, append=len(present)).tolist()),
        missing=len(values) - len(present),
        below=0 if low is None else int(np.searchsorted(present, low, side="left")),
        above=0 if high is None else int(len(present) - np.searchsorted(present, high, side="right")),
        minimum=float(present[0]) if len(present) else None,
        maximum=float(present[-1]) if len(present) else None,
        mean=float(present.mean()) if len(present) else 0.0,
        sd=float(present.std()) if len(present) else 0.0,
    )


def count_categories(values: pd.Series, *, hashed: bool) -> CategoryCounts:
    """The counts of a column of text; of its hash buckets where the reference was `hashed`."""
    counts: dict[str, int] = {}
    for value, count in values.value_counts(dropna=True).items():
        key = hash_bucket(str(value)) if hashed else str(value)
        counts[key] = counts.get(key, 0) + int(count)
    return CategoryCounts(values=counts, missing=int(values.isna().sum()))


def hash_bucket(value: str) -> str:
    """The bucket in which a value of a column with very many values is counted.

    Counting only the reference's most frequent values would not do: they are partly frequent by luck, so any other
    sample has fewer of them, and every window would look drifted. Buckets do not know which sample they were made for.

    >>> hash_bucket("N14228")
    '#110'
    """
    return f"#{zlib.crc32(value.encode()) % HASH_BUCKETS}"


def _pooled(a: NumberCounts, b: NumberCounts) -> tuple[float, float]:
    """Mean and standard deviation of both, by the update of Chan, Golub and LeVeque (1979)."""
    rows = a.present + b.present
    if rows == 0:
        return 0.0, 0.0
    delta = b.mean - a.mean
    squares = a.present * a.sd**2 + b.present * b.sd**2 + delta**2 * a.present * b.present / rows
    return a.mean + delta * b.present / rows, math.sqrt(squares / rows)
