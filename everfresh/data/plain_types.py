"""The types that tables have here, whichever reader they come from."""

from __future__ import annotations

import pandas as pd


def plain_types(frame: pd.DataFrame) -> pd.DataFrame:
    """The plain types of pandas; nullable ones are left only where integers or booleans have gaps.

    >>> frame = pd.DataFrame({"a": pd.array([1, 2], dtype="Int64"), "b": pd.array([1, None], dtype="Int64")})
    >>> plain_types(frame).dtypes.astype("str").tolist()
    ['int64', 'Int64']
    """
    if frame.columns.empty:
        return frame
    settled = pd.concat([_plain(values) for _, values in frame.items()], axis="columns")
    settled.columns = frame.columns
    return settled


def _plain(values: pd.Series) -> pd.Series:
    dtype = values.dtype
    if isinstance(dtype, pd.StringDtype):
        return values.astype("str")
    plain = getattr(dtype, "numpy_dtype", None) if pd.api.types.is_extension_array_dtype(dtype) else None
    if plain is not None and (plain.kind == "f" or not values.hasnans):
        return values.astype(plain)
    return values
