"""From columns of plain values, as they come off the wire, to a batch that fits a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from everfresh.data.columns import Column, plain_text
from everfresh.packaging.batch import Batch
from everfresh.packaging.manifest import Manifest
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
LONGEST_TEXT = 1_000
LARGEST_INTEGER = 2**53

_NUMBERS = frozenset({int, float, type(None)})
_TEXTS = frozenset({str, type(None)})


@dataclass(frozen=True)
class Rows:
    """A request in the terms of a model.

    Attributes:
        batch: the features.
        ids: what the request calls its rows; None where it does not.
        times: when the rows happened, in UTC, by the request's own account; None where it does not say.
    """

    batch: Batch
    ids: tuple[str, ...] | None
    times: tuple[datetime | None, ...] | None


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
        self._id_names = tuple(name for name in (ID_TENSOR, manifest.id_column) if name)
        self._time_names = tuple(name for name in (TIME_TENSOR, manifest.time_column) if name)
        self._known = self._names | {*self._id_names, *self._time_names, manifest.label}

    def read(self, table: Mapping[str, Sequence[Any]]) -> Rows:
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
        for name, values in table.items():
            if len(values) != rows:
                raise UnequalColumns(name, len(values), rows)
        if rows == 0:
            raise EmptyBatch
        if rows > MOST_ROWS:
            raise TooManyRows(rows, MOST_ROWS)
        numbers = {c.name: _numbers(c, table[c.name]) for c in self.columns if not c.is_category}
        categories = {c.name: _categories(c, table[c.name]) for c in self.columns if c.is_category}
        return Rows(Batch(rows, numbers, categories), self._ids(table), self._times(table))

    def _ids(self, table: Mapping[str, Sequence[Any]]) -> tuple[str, ...] | None:
        name = next((name for name in self._id_names if name in table), None)
        return tuple(_id(name, row, value) for row, value in enumerate(table[name])) if name else None

    def _times(self, table: Mapping[str, Sequence[Any]]) -> tuple[datetime | None, ...] | None:
        name = next((name for name in self._time_names if name in table), None)
        return tuple(_time(name, row, value) for row, value in enumerate(table[name])) if name else None


def _numbers(column: Column, values: Sequence[Any]) -> NDArray[np.float64]:
    """float64 with NaN for None. The common case, a list of JSON numbers, is checked as a whole."""
    kinds = set(map(type, values))
    if not kinds <= _NUMBERS and not (column.dtype == "boolean" and kinds <= _NUMBERS | {bool}):
        row, value = next((row, value) for row, value in enumerate(values) if not _is_number(column, value))
        raise BadValue(column.name, row, value, "a boolean" if column.dtype == "boolean" else "a number")
    numbers = np.array(values, dtype=np.float64)
    if int in kinds and (large := np.abs(numbers) > LARGEST_INTEGER).any():
        for row in np.flatnonzero(large).tolist():
            if isinstance(values[row], int):
                raise OutOfRange(column.name, row, values[row], "an integer that float64 can hold")
    if column.dtype == "boolean":
        _check_each(column, numbers, ~np.isin(numbers, (0.0, 1.0)), "a boolean")
    elif column.dtype == "integer" and float in kinds:
        _check_each(column, numbers, numbers != np.floor(numbers), "an integer")
    if type(None) in kinds:
        _check_complete(column, np.isnan(numbers))
    return numbers


def _categories(column: Column, values: Sequence[Any]) -> list[str | None]:
    """Text, as training wrote it: a number or boolean that is a category has one way to be written."""
    kinds = set(map(type, values))
    if not kinds <= _TEXTS:
        for row, value in enumerate(values):
            if not (value is None or isinstance(value, str | int | float)):
                raise BadValue(column.name, row, value, "a category")
        values = [plain_text(value) for value in values]
    for row, value in enumerate(values):
        if value is not None and len(value) > LONGEST_TEXT:
            raise BadValue(column.name, row, value, f"a category of at most {LONGEST_TEXT} characters")
    if type(None) in kinds:
        _check_complete(column, [value is None for value in values])
    return list(values)


def _check_complete(column: Column, missing: Sequence[bool] | NDArray[np.bool_]) -> None:
    if not column.nullable and any(missing):
        raise BadValue(column.name, list(missing).index(True), None, "a value, and this column may not lack one")


def _check_each(column: Column, numbers: NDArray[np.float64], wrong: NDArray[np.bool_], wanted: str) -> None:
    wrong = wrong & ~np.isnan(numbers)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise BadValue(column.name, row, float(numbers[row]), wanted)


def _is_number(column: Column, value: Any) -> bool:
    return type(value) in _NUMBERS or (column.dtype == "boolean" and isinstance(value, bool))


def _id(column: str, row: int, value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int) or len(str(value)) > LONGEST_TEXT or value == "":
        raise BadValue(column, row, value, "an id: text or an integer")
    return str(value)


def _time(column: str, row: int, value: Any) -> datetime | None:
    """ISO 8601; naive is UTC. A number is refused: seconds, milliseconds and nanoseconds look alike."""
    if value is None:
        return None
    try:
        time = datetime.fromisoformat(value)
    except (ValueError, TypeError):
        raise BadValue(column, row, value, "a time in ISO 8601, as in 2013-01-01T05:15:00Z") from None
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def columns_of_rows(names: Sequence[Any], rows: Sequence[Any]) -> dict[str, Sequence[Any]]:
    """Columns from rows of values in the order of `names`.

    Raises:
        BadRows: a name is there twice or is no text, or a row has more or fewer values.
    """
    if not all(isinstance(name, str) for name in names) or len(set(names)) != len(names):
        raise BadRows("Column names are text, and each is there once.")
    for position, row in enumerate(rows):
        if not isinstance(row, list | tuple) or len(row) != len(names):
            raise BadRows(f"Row {position} is not a list of {len(names)} values.")
    return dict(zip(names, zip(*rows, strict=True), strict=True)) if rows else {name: () for name in names}


def columns_of_records(records: Sequence[Any]) -> dict[str, Sequence[Any]]:
    """Columns from records; a key that a record lacks is a missing value, as long as another record has it.

    Raises:
        BadRows: something in the list is not a record.
    """
    names: dict[str, None] = {}
    for position, record in enumerate(records):
        if not isinstance(record, dict):
            raise BadRows(f"Row {position} is not an object of columns and values.")
        names.update(dict.fromkeys(record))
    return {name: [record.get(name) for record in records] for name in names}
