"""From a project's table to what models read: the model frame and the labels."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from everfresh.data.columns import Column, plain_text
from everfresh.data.times import utc_times
from everfresh.errors import MissingColumn, NotNumbers
from everfresh.spec.data import DataSpec
from everfresh.spec.metrics import Task

_EXAMPLES = 3
_LOOKED_AT = 1000


def model_frame(frame: pd.DataFrame, columns: Sequence[Column]) -> pd.DataFrame:
    """`columns` of `frame` in their order: categories as text, all others as float64, missing values as NaN.

    An infinity is missing too: no estimator takes one, and the schema check has said that it is there.

    Raises:
        MissingColumn: the table does not have one of them.
        NotNumbers: a column of numbers holds something else.
        UnparsableTimes: a column of times does.
    """
    for column in columns:
        if column.name not in frame.columns:
            raise MissingColumn(column.name, "a feature of the model", list(frame.columns))
    return pd.DataFrame({column.name: _read(frame[column.name], column) for column in columns}, index=frame.index)


def label_array(frame: pd.DataFrame, data: DataSpec, task: Task) -> NDArray[Any]:
    """The labels of rows that have one: text for a classification, float64 for a regression.

    Raises:
        MissingColumn: the table has no column of that name.
        NotNumbers: a label of a regression is no number.
    """
    if data.label not in frame.columns:
        raise MissingColumn(data.label, "the label", list(frame.columns))
    labels = frame[data.label]
    if task == "regression":
        return numbers(labels).to_numpy(dtype=np.float64)
    return category_values(labels).to_numpy(dtype=object)


def category_values(values: pd.Series) -> pd.Series:
    """The column as text, each value written in its one way; missing values are NaN.

    >>> category_values(pd.Series([1.0, None, 2.5])).tolist()
    ['1', nan, '2.5']
    """
    if isinstance(values.dtype, pd.StringDtype) and values.dtype.na_value is np.nan:
        return values
    if values.dtype == object and pd.api.types.infer_dtype(values) != "string":
        # One by one: among objects, Python takes True, 1 and 1.0 for the same value, and some have no hash.
        texts = pd.array([plain_text(value) for value in values], dtype="str")
    else:
        codes, distinct = pd.factorize(values)
        each = pd.array([plain_text(value) for value in distinct], dtype="str")
        texts = each.take(codes, allow_fill=True)
    return pd.Series(texts, index=values.index, name=values.name)


def numbers(values: pd.Series) -> pd.Series:
    """The column as float64: booleans as 0 and 1, times as seconds since 1970 in UTC, missing values as NaN.

    Raises:
        NotNumbers: it holds text that is no number, or anything else.
    """
    read, wrong = read_numbers(values)
    if wrong.any():
        examples = values[wrong].head(_LOOKED_AT).map(_shown).drop_duplicates().head(_EXAMPLES)
        raise NotNumbers(str(values.name), int(wrong.sum()), examples.tolist())
    return read


def read_numbers(values: pd.Series) -> tuple[pd.Series, pd.Series]:
    """What `numbers` reads, and which values are no numbers; those are NaN."""
    if pd.api.types.is_datetime64_any_dtype(values):
        read = epoch_seconds(values)
    elif pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_complex_dtype(values):  # booleans are, too
        is_plain = isinstance(values.dtype, np.dtype)
        read = values.astype("float64") if is_plain else values.astype("Float64").astype("float64")
    else:
        may_be = values.astype(object)
        read = pd.to_numeric(may_be.where(may_be.map(_may_be_a_number)), errors="coerce").astype("float64")
    return read, read.isna() & values.notna()


def epoch_seconds(times: pd.Series) -> pd.Series:
    """Times as seconds since 1970; a time without a zone is taken as UTC.

    >>> epoch_seconds(pd.Series(pd.to_datetime(["1970-01-01T00:01:00Z", None]))).tolist()
    [60.0, nan]
    """
    naive = times.dt.tz_convert("UTC").dt.tz_localize(None) if times.dt.tz is not None else times
    seconds = naive.astype("datetime64[us]").astype("int64") / 1e6
    return seconds.where(times.notna())


def _read(values: pd.Series, column: Column) -> pd.Series:
    if column.is_category:
        return category_values(values)
    is_time = column.dtype == "datetime" and not pd.api.types.is_numeric_dtype(values)
    read = numbers(utc_times(values) if is_time else values)
    return read.where(np.isfinite(read))


def _may_be_a_number(value: Any) -> bool:
    return isinstance(value, str | float | int | Decimal | np.number | np.bool_)


def _shown(value: Any) -> str:
    return repr(value.item() if isinstance(value, np.generic) else value)
