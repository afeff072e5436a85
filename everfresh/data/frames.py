"""From a project's table to what models read: the model frame and the labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from everfresh.data.columns import Column, plain_text
from everfresh.errors import MissingColumn, NotNumbers
from everfresh.spec.data import DataSpec
from everfresh.spec.metrics import Task

_EXAMPLES = 3


def model_frame(frame: pd.DataFrame, columns: Sequence[Column]) -> pd.DataFrame:
    """`columns` of `frame` in their order: categories as text, all others as float64, missing values as NaN.

    An infinity is missing too: no estimator takes one, and the schema check has said that it is there.

    Raises:
        MissingColumn: the table does not have one of them.
        NotNumbers: a column of numbers holds something else.
    """
    for column in columns:
        if column.name not in frame.columns:
            raise MissingColumn(column.name, "a feature of the model", list(frame.columns))
    read = {
        column.name: category_values(frame[column.name]) if column.is_category else _floats(frame[column.name])
        for column in columns
    }
    return pd.DataFrame(read, index=frame.index)


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
    codes, distinct = pd.factorize(values)
    texts = pd.array([plain_text(_scalar(value)) for value in distinct], dtype="str")
    return pd.Series(texts.take(codes, allow_fill=True), index=values.index, name=values.name)


def numbers(values: pd.Series) -> pd.Series:
    """The column as float64: booleans as 0 and 1, times as seconds since 1970 in UTC, missing values as NaN.

    Raises:
        NotNumbers: it holds text that is no number, or anything else.
    """
    if pd.api.types.is_datetime64_any_dtype(values):
        return epoch_seconds(values)
    if pd.api.types.is_numeric_dtype(values):  # booleans are, too
        return (
            values.astype("Float64").astype("float64")
            if pd.api.types.is_extension_array_dtype(values)
            else (values.astype("float64"))
        )
    read = pd.to_numeric(values, errors="coerce")
    wrong = values[read.isna() & values.notna()]
    if len(wrong):
        examples = [repr(value) for value in wrong.drop_duplicates().head(_EXAMPLES)]
        raise NotNumbers(str(values.name), len(wrong), examples)
    return numbers(read) if read.dtype != object else read.astype("float64")


def epoch_seconds(times: pd.Series) -> pd.Series:
    """Times as seconds since 1970; a time without a zone is taken as UTC.

    >>> epoch_seconds(pd.Series(pd.to_datetime(["1970-01-01T00:01:00Z", None]))).tolist()
    [60.0, nan]
    """
    naive = times.dt.tz_convert("UTC").dt.tz_localize(None) if times.dt.tz is not None else times
    seconds = naive.astype("datetime64[us]").astype("int64") / 1e6
    return seconds.where(times.notna())


def _floats(values: pd.Series) -> pd.Series:
    read = numbers(values)
    return read.where(np.isfinite(read))


def _scalar(value: Any) -> Any:
    """Scalars of numpy as Python's own, so that one rule writes both."""
    return value.item() if isinstance(value, np.generic) else value
