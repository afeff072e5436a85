"""Times of a table as moments in UTC."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import pandas as pd

from everfresh.errors import UnparsableTimes

_EXAMPLES = 3
_LOOKED_AT = 1000


def utc_times(values: pd.Series) -> pd.Series:
    """The column as moments in UTC, to the microsecond; a time without a zone is taken as UTC.

    Raises:
        UnparsableTimes: a value is no time.

    >>> utc_times(pd.Series(["2013-07-01T12:30+02:00", "2013-07-01"])).astype("str").tolist()
    ['2013-07-01 10:30:00+00:00', '2013-07-01 00:00:00+00:00']
    """
    moments, wrong = read_times(values)
    if wrong.any():
        examples = values[wrong].head(_LOOKED_AT).map(_shown).drop_duplicates().head(_EXAMPLES)
        raise UnparsableTimes(str(values.name), int(wrong.sum()), examples.tolist())
    return moments


def read_times(values: pd.Series) -> tuple[pd.Series, pd.Series]:
    """The moments of a column, and which of its values are no time.

    Text is read as ISO 8601 and as nothing else: whether 01/02/2013 is in January or February, nobody can know.
    Numbers are no times, for they may be seconds, milliseconds or days.
    """
    if pd.api.types.is_datetime64_any_dtype(values):
        moments = values.dt.tz_localize("UTC") if values.dt.tz is None else values.dt.tz_convert("UTC")
    else:
        # Text and dates only: pandas would take numbers for nanoseconds, and `now` for a time.
        readable = values.astype(object).where(_may_be_times(values))
        moments = pd.to_datetime(readable, format="ISO8601", utc=True, errors="coerce")
    return moments.dt.as_unit("us"), moments.isna() & values.notna()


def _may_be_times(values: pd.Series) -> pd.Series:
    """Text that begins with a digit, and dates: pandas would also take `now` for a time."""
    if isinstance(values.dtype, pd.StringDtype):
        return values.str.match(r"\d").fillna(False).astype(bool)
    return values.map(lambda value: isinstance(value, date | np.datetime64) or _begins_with_a_digit(value)).astype(bool)


def _begins_with_a_digit(value: Any) -> bool:
    return isinstance(value, str) and value[:1].isdigit()


def _shown(value: Any) -> str:
    return repr(value.item() if isinstance(value, np.generic) else value)
