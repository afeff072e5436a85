"""From columns of plain values, as they come off the wire, to a batch that fits a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain, compress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from everfresh.data.columns import Column, plain_text
from everfresh.packaging.batch import Batch, Categories, EncodedCategories
from everfresh.packaging.manifest import Manifest
from everfresh.serving.questions.question import Table
from everfresh.serving.refusals import (
    BadRows,
    BadValue,
    EmptyBatch,
    MissingColumns,
    OutOfRange,
    TooManyRows,
    UnequalColumns,
    UnknownColumns,
)

ID_TENSOR = "$id"
TIME_TENSOR = "$time"
MOST_ROWS = 10_000
MOST_COLUMNS = 1_000
LONGEST_TEXT = 1_000
LARGEST_INTEGER = 2**53
FEW_ROWS = 128

_LISTS = frozenset({list, tuple})
_FLOATS = frozenset({float, type(None)})
_NUMBERS = frozenset({int, float, type(None)})
_TEXTS = frozenset({str, type(None)})
_A_TIME = "a time: ISO 8601, as in 2013-01-01T05:15:00Z, or seconds since 1970"
_FIRST_SECOND = datetime.min.replace(tzinfo=UTC).timestamp()
_LAST_SECOND = datetime.max.replace(tzinfo=UTC).timestamp()


@dataclass(frozen=True)
class Rows:
    """A request in the terms of a model.

    Attributes:
        batch: the features.
        ids: what the request calls its rows; None where it does not.
        times: when the rows happened, in UTC by microseconds, by the request's own account; NaT where it does not say
            so of a row, None where it says so of none.
    """

    batch: Batch
    ids: tuple[str, ...] | None
    times: NDArray[np.datetime64] | None

    def where(self, mask: NDArray[np.bool_]) -> Rows:
        """The rows for which `mask` holds."""
        batch = Batch(
            rows=int(mask.sum()),
            numbers={name: values[mask] for name, values in self.batch.numbers.items()},
            categories={name: _categories_where(values, mask) for name, values in self.batch.categories.items()},
        )
        ids = tuple(compress(self.ids, mask)) if self.ids is not None else None
        return Rows(batch, ids, self.times[mask] if self.times is not None else None)


class RowReader:
    """Checks requests against the columns of one model.

    Features must all be there; a missing value is None. The project's id and time columns may be there, or `$id`
    and `$time` in their stead; they go to the log and not to the model. The label may be there and is ignored, so that
    a table with labels can be replayed as it is. Any other column is refused: it is a typo, or a feature that
    the sender believes to be used.
    """

    def __init__(self, manifest: Manifest) -> None:
        self.columns = manifest.columns
        self._names = frozenset(column.name for column in manifest.columns)
        self._categories = tuple(column for column in manifest.columns if column.is_category)
        self._numbers = tuple(column for column in manifest.columns if not column.is_category)
        self._simple = tuple(c.name for c in manifest.columns if c.dtype == "float" and c.nullable)
        self._others = tuple(column for column in self._numbers if column.name not in self._simple)
        self._id_names = tuple(name for name in (ID_TENSOR, manifest.id_column) if name)
        self._time_names = tuple(name for name in (TIME_TENSOR, manifest.time_column) if name)
        self._known = self._names | {*self._id_names, *self._time_names, manifest.label}

    def read(self, table: Table) -> Rows:
        """The rows in `table`, column by column.

        Raises:
            Refusal: the first thing that is wrong, with its column, row and value.
        """
        if not self._names <= table.keys():
            raise MissingColumns([column.name for column in self.columns if column.name not in table])
        if not table.keys() <= self._known:
            unknown = [name for name in table if name not in self._known]
            raise UnknownColumns(unknown, [column.name for column in self.columns])
        rows = len(table[self.columns[0].name])
        if len(set(map(len, table.values()))) > 1:
            name, other = next((name, len(values)) for name, values in table.items() if len(values) != rows)
            raise UnequalColumns(name, other, rows)
        if rows == 0:
            raise EmptyBatch
        check_rows(rows)
        given: Mapping[str, Any] = table  # only a category column may be encoded
        numbers = self._simple_numbers(given) if rows <= FEW_ROWS else {}
        for column in self._others if numbers else self._numbers:
            numbers[column.name] = _floats(column, given[column.name])
        categories = {column.name: _categories(column, given[column.name]) for column in self._categories}
        return Rows(Batch(rows, numbers, categories), self._ids(given), self._times(given))

    def _simple_numbers(self, table: Mapping[str, Any]) -> dict[str, NDArray[np.float64]]:
        """The columns of floats that may be missing, all in one go; none of them where one holds anything else.

        Of a few rows, looking at each column by itself would cost more than all else together.
        """
        columns = [table[name] for name in self._simple]
        if not columns or not set(map(type, columns)) <= _LISTS:
            return {}
        values = list(chain.from_iterable(columns))
        if not set(map(type, values)) <= _FLOATS:
            return {}
        return dict(zip(self._simple, np.array(values, dtype=np.float64).reshape(len(columns), -1), strict=True))

    def _ids(self, table: Mapping[str, Any]) -> tuple[str, ...] | None:
        name = next((name for name in self._id_names if name in table), None)
        return _ids(name, table[name]) if name else None

    def _times(self, table: Mapping[str, Any]) -> NDArray[np.datetime64] | None:
        name = next((name for name in self._time_names if name in table), None)
        return _moments(_epoch_seconds(name, table[name])) if name else None


def check_rows(rows: int) -> None:
    """Make sure that a request is not too large, before anything is done with each of its rows.

    Raises:
        TooManyRows: it is.
    """
    if rows > MOST_ROWS:
        raise TooManyRows(rows, MOST_ROWS)


def _categories_where(values: Categories, mask: NDArray[np.bool_]) -> Categories:
    if isinstance(values, EncodedCategories):
        return EncodedCategories(values.codes[mask], values.values)
    return list(compress(values, mask))


Values = Sequence[Any] | NDArray[Any]


def _floats(column: Column, values: Values) -> NDArray[np.float64]:
    """What a model sees of a column that is no category: float64, with NaN for None."""
    floats = _epoch_seconds(column.name, values) if column.dtype == "datetime" else _numbers(column, values)
    if not column.nullable:
        _check_complete(column, np.isnan(floats))
    return floats


def _numbers(column: Column, values: Values) -> NDArray[np.float64]:
    """Numbers and booleans. The common case, a list of JSON numbers, is checked as a whole."""
    if isinstance(values, np.ndarray):
        return _array_numbers(column, values)
    kinds = set(map(type, values))
    if not kinds <= _NUMBERS and not (column.dtype == "boolean" and kinds <= _NUMBERS | {bool}):
        row, value = next((row, value) for row, value in enumerate(values) if not _is_number(column, value))
        raise BadValue(column.name, row, value, "a boolean" if column.dtype == "boolean" else "a number")
    numbers = np.array(values, dtype=np.float64)
    if column.dtype == "boolean":
        _check_each(column, numbers, values, ~np.isin(numbers, (0.0, 1.0)), "a boolean")
    elif column.dtype == "integer" and float in kinds:
        _check_each(column, numbers, values, numbers != np.floor(numbers), "an integer")
    if column.dtype == "integer" or int in kinds:
        _check_exact(column, numbers, values)
    return numbers


def _array_numbers(column: Column, values: NDArray[Any]) -> NDArray[np.float64]:
    """Numbers of a typed array, as binary protocols bring them; NaN is a missing value."""
    if values.dtype.kind not in "fiu" and not (column.dtype == "boolean" and values.dtype.kind == "b"):
        return _numbers(column, values.tolist())
    numbers = values.astype(np.float64)
    _check_each(column, numbers, values, np.isinf(numbers), "a finite number")
    if column.dtype == "boolean":
        _check_each(column, numbers, values, ~np.isin(numbers, (0.0, 1.0)), "a boolean")
    elif column.dtype == "integer" and values.dtype.kind == "f":
        _check_each(column, numbers, values, numbers != np.floor(numbers), "an integer")
    if values.dtype.kind in "iu" or column.dtype == "integer":
        _check_exact(column, numbers, values)
    return numbers


def _epoch_seconds(name: str, values: Values) -> NDArray[np.float64]:
    """Times as seconds since 1970 in UTC: text in ISO 8601, where a naive time is UTC, or such seconds.

    Seconds that no calendar has are refused: they are milliseconds or nanoseconds.
    """
    if isinstance(values, np.ndarray) and values.dtype.kind in "fiu":
        seconds = values.astype(np.float64)
    elif set(map(type, values)) <= _NUMBERS:
        seconds = np.array(values, dtype=np.float64)
    else:
        seconds = np.array([_seconds(name, row, value) for row, value in enumerate(values)])
    beyond = (seconds < _FIRST_SECOND) | (seconds > _LAST_SECOND)
    if beyond.any():
        row = int(np.argmax(beyond))
        raise OutOfRange(name, row, seconds[row] if isinstance(values, np.ndarray) else values[row], _A_TIME)
    return seconds


def _seconds(name: str, row: int, value: Any) -> float:
    if value is None:
        return np.nan
    if type(value) in _NUMBERS:
        return float(value)
    try:
        time = datetime.fromisoformat(value)
    except (ValueError, TypeError):
        raise BadValue(name, row, value, _A_TIME) from None
    return (time.replace(tzinfo=UTC) if time.tzinfo is None else time).timestamp()


def _moments(seconds: NDArray[np.float64]) -> NDArray[np.datetime64]:
    missing = np.isnan(seconds)
    microseconds = np.rint(np.where(missing, 0.0, seconds) * 1e6).astype(np.int64)
    moments = microseconds.view("datetime64[us]")
    moments[missing] = np.datetime64("NaT")
    return moments


def _categories(column: Column, values: Values | EncodedCategories) -> Categories:
    """Text, as training wrote it: a number or boolean that is a category has one way to be written."""
    if isinstance(values, EncodedCategories):
        return _encoded(column, values)
    values = values.tolist() if isinstance(values, np.ndarray) else values
    kinds = set(map(type, values))
    if not kinds <= _TEXTS:
        for row, value in enumerate(values):
            if not (value is None or isinstance(value, str | int | float)):
                raise BadValue(column.name, row, value, "a category")
            # An integer of more digits than 64 bits hold comes from JSON as a float, and its last digits are lost.
            if isinstance(value, float) and abs(value) >= LARGEST_INTEGER:
                raise OutOfRange(column.name, row, value, "a category; write so large a number as text")
        values = [plain_text(value) for value in values]
    if max(map(len, filter(None, values)), default=0) > LONGEST_TEXT:
        row, value = next((row, value) for row, value in enumerate(values) if value and len(value) > LONGEST_TEXT)
        raise _too_long(column, row, value)
    if not column.nullable:
        _check_complete(column, [value is None for value in values])
    return list(values)


def _encoded(column: Column, categories: EncodedCategories) -> EncodedCategories:
    """A dictionary is checked value by value, of which there are few, and its rows all at once."""
    long = [code for code, value in enumerate(categories.values) if len(value) > LONGEST_TEXT]
    if long and (rows := np.flatnonzero(np.isin(categories.codes, long))).size:
        row = int(rows[0])
        raise _too_long(column, row, categories.values[categories.codes[row]])
    if not column.nullable:
        _check_complete(column, categories.codes < 0)
    return categories


def _too_long(column: Column, row: int, value: str) -> BadValue:
    return BadValue(column.name, row, value, f"a category of at most {LONGEST_TEXT} characters")


def _check_complete(column: Column, missing: Sequence[bool] | NDArray[np.bool_]) -> None:
    if any(missing):
        raise BadValue(column.name, list(missing).index(True), None, "a value, and this column may not lack one")


def _check_each(
    column: Column, numbers: NDArray[np.float64], values: Values, wrong: NDArray[np.bool_], wanted: str
) -> None:
    wrong = wrong & ~np.isnan(numbers)
    if wrong.any():
        row = int(np.argmax(wrong))
        value = values[row].item() if isinstance(values, np.ndarray) else values[row]
        raise BadValue(column.name, row, value, wanted)


def _check_exact(column: Column, numbers: NDArray[np.float64], values: Values) -> None:
    """An integer beyond 2^53 has neighbours that float64 cannot tell from it; a float is what it is."""
    largest = np.abs(numbers)
    # At least: the number after 2^53 is 2^53 as float64. The largest first, and only then each: nearly all are small.
    if not np.fmax.reduce(largest) >= LARGEST_INTEGER:
        return
    for row in np.flatnonzero(largest >= LARGEST_INTEGER).tolist():
        value = values[row].item() if isinstance(values, np.ndarray) else values[row]
        if abs(value) > LARGEST_INTEGER and (column.dtype == "integer" or isinstance(value, int)):
            raise OutOfRange(column.name, row, value, "an integer that float64 can hold")


def _is_number(column: Column, value: Any) -> bool:
    return type(value) in _NUMBERS or (column.dtype == "boolean" and isinstance(value, bool))


def _ids(name: str, values: Values) -> tuple[str, ...]:
    values = values.tolist() if isinstance(values, np.ndarray) else values
    if set(map(type, values)) <= {str, int}:
        ids = tuple(map(str, values))
        lengths = tuple(map(len, ids))
        if min(lengths) > 0 and max(lengths) <= LONGEST_TEXT:
            return ids
    row = next(row for row, value in enumerate(values) if not is_id(value))
    raise BadValue(name, row, values[row], "an id: text or an integer")


def is_id(value: Any) -> bool:
    """Whether a row can be called so: by text that is not empty nor endless, or by an integer."""
    return type(value) in (str, int) and 0 < len(str(value)) <= LONGEST_TEXT


def columns_of_rows(names: Sequence[Any], rows: Sequence[Any]) -> dict[str, Sequence[Any]]:
    """Columns from rows of values in the order of `names`.

    Raises:
        TooManyRows: it is said before anything is done with them.
        BadRows: a name is there twice or is no text, or a row has more or fewer values.
    """
    check_rows(len(rows))
    if not all(isinstance(name, str) for name in names) or len(set(names)) != len(names):
        raise BadRows("Column names are text, and each is there once.")
    for position, row in enumerate(rows):
        if not isinstance(row, list | tuple) or len(row) != len(names):
            raise BadRows(f"Row {position} is not a list of {len(names)} values.")
    return dict(zip(names, zip(*rows, strict=True), strict=True)) if rows else {name: () for name in names}


def columns_of_records(records: Sequence[Any]) -> dict[str, Sequence[Any]]:
    """Columns from records; a key that a record lacks is a missing value, as long as another record has it.

    Raises:
        TooManyRows: it is said before anything is done with them.
        BadRows: something in the list is not a record, or they have no end of different keys.
    """
    check_rows(len(records))
    names: dict[str, None] = {}
    for position, record in enumerate(records):
        if not isinstance(record, dict):
            raise BadRows(f"Row {position} is not an object of columns and values.")
        names.update(dict.fromkeys(record))
    if len(names) > MOST_COLUMNS:
        raise BadRows(f"The records have {len(names):,} different keys, and one request may have {MOST_COLUMNS:,}.")
    return {name: [record.get(name) for record in records] for name in names}
