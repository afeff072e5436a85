"""Which columns of a table are features, and what they hold."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
import pandas as pd

from everfresh.data.columns import Column, ColumnDtype
from everfresh.data.frames import category_values
from everfresh.errors import MissingColumn, NoFeatures
from everfresh.spec.data import ColumnSpec, DataSpec, GroupedSplit

MOST_CATEGORIES = 200
"""Text with more distinct values than this is no category unless the spec declares it as one."""

ROWS_FOR_EACH_CATEGORY = 2
"""Text is a category only if its values have so many rows on average; otherwise it is text, or an id."""

_KINDS: dict[str, ColumnDtype] = {
    "boolean": "boolean",
    "integer": "integer",
    "floating": "float",
    "mixed-integer-float": "float",
    "decimal": "float",
    "string": "category",
}
_TIMES = ("datetime64", "datetime", "date")
_SCALARS = (str, bool, int, float, Decimal, np.generic)
_UNNAMED = re.compile(r"^Unnamed: \d+$")


@dataclass(frozen=True)
class Features:
    """What a model sees of a table, and what it does not see: `ignored` holds columns with the reason."""

    columns: tuple[Column, ...]
    ignored: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class _Ignored:
    why: str


def infer_columns(frame: pd.DataFrame, data: DataSpec) -> Features:
    """The features of a table in its order: what the spec declares, and what can be told of the other columns.

    The label, the id and the time column are never features; a column that the split groups by is one only where it is
    declared. Integers with gaps are integers. Floats are floats even if all of them are whole, for the next one may not
    be. Text stays text even if all of it looks like numbers: 02139 is a place and no quantity. Where that is not
    meant, the spec declares the column.

    Raises:
        MissingColumn: the table lacks a column that is declared.
        NoFeatures: none is left.
    """
    for name, declared in data.columns.items():
        if name not in frame.columns and declared.dtype != "ignore":
            raise MissingColumn(name, "declared under data.columns", list(frame.columns))
    roles = {data.label, data.id_column, data.time_column}
    found = {name: _told(frame[name], data) for name in frame.columns if name not in roles}
    columns = tuple(column for column in found.values() if isinstance(column, Column))
    ignored = tuple((name, column.why) for name, column in found.items() if isinstance(column, _Ignored))
    if not columns:
        raise NoFeatures([f"{name}: {why}" for name, why in ignored])
    return Features(columns, ignored)


def _told(values: pd.Series, data: DataSpec) -> Column | _Ignored:
    name = str(values.name)
    if name in data.columns:
        return _declared(name, data.columns[name])
    if isinstance(data.split, GroupedSplit) and data.split.by == name:
        return _Ignored("the split groups by it; declare it under data.columns to learn from it, too")
    if _UNNAMED.match(name):
        return _Ignored("it has no name, as when row numbers are saved")
    return _inferred(name, values)


def _declared(name: str, declared: ColumnSpec) -> Column | _Ignored:
    if declared.dtype == "ignore":
        return _Ignored("declared so")
    return Column(
        name,
        declared.dtype,
        nullable=declared.nullable,
        minimum=declared.min,
        maximum=declared.max,
        values=declared.values,
    )


def _inferred(name: str, values: pd.Series) -> Column | _Ignored:
    known = values.dropna()
    if known.empty:
        return _Ignored("no row has a value")
    kind = _kind(known)
    if isinstance(kind, _Ignored):
        return kind
    texts = category_values(known) if kind == "category" else known
    distinct = texts.nunique()
    if distinct == 1 and len(known) == len(values):
        return _Ignored(f"it is {_shown(known.iloc[0])} in every row")
    if kind == "category" and (distinct > MOST_CATEGORIES or distinct * ROWS_FOR_EACH_CATEGORY > len(known)):
        return _Ignored(f"{distinct:,} distinct values in {len(known):,} rows: {_many(texts)}")
    return Column(name, kind)


def _kind(known: pd.Series) -> ColumnDtype | _Ignored:
    if isinstance(known.dtype, pd.CategoricalDtype):
        return "category"
    told = pd.api.types.infer_dtype(known)
    if told in _KINDS:
        return _KINDS[told]
    if told in _TIMES:
        return _Ignored("a time: declare it as datetime under data.columns to use it")
    others = sorted({type(value).__name__ for value in known if not isinstance(value, _SCALARS)})
    if told.startswith("mixed") and not others:
        return "category"
    return _Ignored(f"it holds values of the type {' and '.join(others) or told}")


def _many(texts: pd.Series) -> str:
    if pd.to_numeric(texts, errors="coerce").notna().all():
        return "numbers that are written as text; declare it as float under data.columns to use them as such"
    return "text or an id"


def _shown(value: object) -> str:
    return repr(value.item() if isinstance(value, np.generic) else value)
