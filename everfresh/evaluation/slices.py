"""The groups of rows that a slice gate looks at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from everfresh.data.frames import category_values, numbers

MAX_VALUES_OF_A_NUMBER = 50
"""A number with more distinct values than this is a measurement, and is cut into quarters."""

MISSING_GROUP = "(missing)"


@dataclass(frozen=True)
class Slice:
    """Rows that have something in common: what, and their positions in the holdout."""

    name: str
    rows: NDArray[np.intp]


def slices_of(values: pd.Series) -> tuple[Slice, ...]:
    """One slice for each value, or one for each quarter of the rows where a number or a time has many values.

    Rows without a value are a slice of their own, the last one.

    >>> [(part.name, len(part.rows)) for part in slices_of(pd.Series(["JFK", "LGA", "JFK", None]))]
    [('JFK', 2), ('LGA', 1), ('(missing)', 1)]
    """
    if _is_measurement(values):
        return tuple(_quarters(values))
    codes, distinct = pd.factorize(category_values(values), sort=True)
    return tuple(_by_code(codes, [str(text) for text in distinct]))


def _is_measurement(values: pd.Series) -> bool:
    if pd.api.types.is_bool_dtype(values):
        return False
    ordered = pd.api.types.is_numeric_dtype(values) or pd.api.types.is_datetime64_any_dtype(values)
    return ordered and values.nunique() > MAX_VALUES_OF_A_NUMBER


def _quarters(values: pd.Series) -> Iterator[Slice]:
    if pd.api.types.is_numeric_dtype(values):
        values = numbers(values).replace([np.inf, -np.inf], np.nan)  # missing, as for the model
    quarter, edges = pd.qcut(values, 4, labels=False, retbins=True, duplicates="drop")
    names = [f"{_bound(low)} to {_bound(high)}" for low, high in pairwise(edges)]
    return _by_code(quarter.fillna(-1).to_numpy(dtype=np.intp), names)


def _bound(edge: object) -> str:
    return f"{edge:g}" if isinstance(edge, int | float) else f"{edge:%F %H:%M}"


def _by_code(codes: NDArray[np.intp], names: list[str]) -> Iterator[Slice]:
    """The rows of each code from 0 on, and of -1 as the missing ones."""
    order = np.argsort(codes, kind="stable")
    ends = np.searchsorted(codes[order], np.arange(-1, len(names)), side="right")
    missing, *parts = np.split(order, ends[:-1])
    for name, rows in zip([*names, MISSING_GROUP], [*parts, missing], strict=True):
        if len(rows):
            yield Slice(name, rows)
