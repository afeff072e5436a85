"""Whether a table still holds what its columns promise."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from everfresh.data.columns import Column, plain_text
from everfresh.data.frames import category_values, epoch_seconds, read_numbers
from everfresh.data.times import read_times

EXACT_BELOW = 2**53
"""From here on, float64 no longer tells an integer from its neighbour."""

_EXAMPLES = 3
_LONGEST_EXAMPLE = 40
_LISTED = 5
_INSTEAD = {"float": "no number", "integer": "no number", "boolean": "no boolean", "datetime": "no time"}

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Violation:
    """Values of one column that break one of its promises.

    Attributes:
        column: its name.
        problem: what they are instead, as the end of a sentence: "below 0".
        count: how many of them there are.
        rows: how many values were looked at.
        examples: the first ones, each with the position of its row, counted from 0.
    """

    column: str
    problem: str
    count: int
    rows: int
    examples: tuple[str, ...] = ()

    def __str__(self) -> str:
        """One line for people.

        >>> print(Violation("distance", "below 0", 3, 1000, ("-5.0 (row 17)",)))
        distance: 3 of 1,000 values are below 0, such as -5.0 (row 17)
        """
        such_as = f", such as {', '.join(self.examples)}" if self.examples else ""
        of_all = f"{self.count:,} of {self.rows:,} value{'' if self.rows == 1 else 's'}"
        return f"{self.column}: {of_all} {'is' if self.count == 1 else 'are'} {self.problem}{such_as}"


def check_schema(frame: pd.DataFrame, columns: Sequence[Column]) -> tuple[Violation, ...]:
    """Every promise of `columns` that `frame` breaks, in their order; nothing where it keeps them all.

    It takes a project's table as well as a model frame, in which times are seconds and booleans are 0 and 1. It never
    raises: whatever a table holds, what is wrong with it is the answer.
    """
    return tuple(violation for column in columns for violation in _of_column(frame, column))


def _of_column(frame: pd.DataFrame, column: Column) -> Iterator[Violation]:
    places = [place for place, name in enumerate(frame.columns) if name == column.name]
    if len(places) != 1:
        problem = f"there {len(places)} times" if places else f"gone{_renamed(column.name, frame)}"
        yield Violation(column.name, problem, len(frame), len(frame))
        return
    values = frame.iloc[:, places[0]]
    checks = _of_category(values, column) if column.is_category else _of_number(values, column)
    for problem, broken in checks:
        if broken.any():
            yield Violation(column.name, problem, int(broken.sum()), len(values), _examples(values, broken))


def _renamed(name: str, frame: pd.DataFrame) -> str:
    close = difflib.get_close_matches(name, [str(other) for other in frame.columns], n=1, cutoff=0.6)
    return f" with their column; did you mean {close[0]!r}?" if close else " with their column"


def _of_category(values: pd.Series, column: Column) -> Iterator[tuple[str, Mask]]:
    missing = values.isna().to_numpy(dtype=bool)
    if not column.nullable:
        yield "missing", missing
    if values.dtype == object:
        nested = np.array([_is_nested(value) for value in values], dtype=bool)
        yield "no single value", nested
        missing = missing | nested
    if column.values is not None:
        known = category_values(values).isin([plain_text(value) for value in column.values]).to_numpy(dtype=bool)
        yield f"not among {_listed(column.values)}", ~known & ~missing


def _of_number(values: pd.Series, column: Column) -> Iterator[tuple[str, Mask]]:
    floats, wrong = _floats(values, column)
    missing = np.isnan(floats) & ~wrong
    endless = np.isinf(floats)
    finite = ~np.isnan(floats) & ~endless
    if not column.nullable:
        yield "missing", missing
    if column.dtype == "boolean":
        wrong = wrong | (finite & (floats != 0) & (floats != 1))
    yield _INSTEAD[column.dtype], wrong
    yield "infinite", endless
    if column.dtype == "integer":
        yield "no integer", finite & (np.floor(floats, where=finite, out=np.zeros_like(floats)) != floats)
        yield "too large to be told from its neighbour in float64", finite & (np.abs(floats) >= EXACT_BELOW)
    if column.minimum is not None:
        yield f"below {plain_text(column.minimum)}", floats < column.minimum
    if column.maximum is not None:
        yield f"above {plain_text(column.maximum)}", floats > column.maximum


def _floats(values: pd.Series, column: Column) -> tuple[NDArray[np.float64], Mask]:
    if column.dtype == "datetime" and not pd.api.types.is_numeric_dtype(values):
        moments, wrong = read_times(values)
        floats = epoch_seconds(moments)
    else:
        floats, wrong = read_numbers(values)
    return floats.to_numpy(dtype=np.float64), wrong.to_numpy(dtype=bool)


def _is_nested(value: object) -> bool:
    return bool(pd.api.types.is_list_like(value))


def _listed(values: Sequence[str]) -> str:
    shown = ", ".join(repr(value) for value in values[:_LISTED])
    return f"{shown} and {len(values) - _LISTED} more" if len(values) > _LISTED else shown


def _examples(values: pd.Series, broken: Mask) -> tuple[str, ...]:
    return tuple(_example(values.iloc[row], int(row)) for row in np.flatnonzero(broken)[:_EXAMPLES])


def _example(value: object, row: int) -> str:
    if plain_text(value) is None:
        return f"row {row}"
    text = repr(value.item() if isinstance(value, np.generic) else value)
    return f"{text if len(text) <= _LONGEST_EXAMPLE else f'{text[:_LONGEST_EXAMPLE]}...'} (row {row})"
