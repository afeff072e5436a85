"""CSV bodies: a table with a header, or without one as SageMaker's own algorithms take it."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

from everfresh.data.columns import Column
from everfresh.packaging.manifest import Manifest
from everfresh.serving.http.messages import Request
from everfresh.serving.questions.decoding import ID_TENSOR, MOST_COLUMNS, MOST_ROWS, TIME_TENSOR, columns_of_rows
from everfresh.serving.refusals import BadEncoding, BadRows, EmptyBatch, Malformed, TooManyRows, UnsupportedContent

CSV = "text/csv"

_BOOLEANS = {"True": True, "true": True, "False": False, "false": False}
_MOST_DIGITS = 400  # of these many every number is beyond float64
_EXACT_DIGITS = 15
_DATE_DIGITS = 8


def read_csv(request: Request, manifest: Manifest) -> dict[str, Sequence[Any]]:
    """The columns of a CSV table, with Excel's mark before it or without. An empty field is a missing value.

    The first line is a header if it has a column's name in it. Where it has none, but as many fields as the
    model has columns, and in the places of numbers and booleans such, the lines are rows in the model's order. The
    parameter `header` of the content type, `present` or `absent`, says it for sure.
    """
    parameters = request.content_parameters
    if parameters.get("charset", "utf-8") not in ("utf-8", "utf8", "us-ascii"):
        raise UnsupportedContent(f"the charset {parameters['charset']}", ["UTF-8"])
    lines = _lines(request.body)
    if not lines:
        raise EmptyBatch
    if _has_header(parameters.get("header"), lines[0], manifest):
        names, rows = lines[0], lines[1:]
    else:
        names, rows = [column.name for column in manifest.columns], lines
    if len(names) > MOST_COLUMNS:
        raise BadRows(f"The table has {len(names):,} columns, and one request may have {MOST_COLUMNS:,}.")
    by_name = {column.name: column for column in manifest.columns}
    return {
        name: [_field(by_name.get(name), row, text) for row, text in enumerate(values)]
        for name, values in columns_of_rows(names, rows).items()
    }


def write_csv(rows: Sequence[Any]) -> bytes:
    """A line for each value, or list of values, without a header."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(row if isinstance(row, list) else [row] for row in rows)
    return text.getvalue().encode()


def _lines(body: bytes) -> list[list[str]]:
    """The lines that are not empty; never more than a request may have."""
    lines: list[list[str]] = []
    try:
        for line in csv.reader(io.StringIO(body.decode("utf-8-sig"), newline=""), strict=True):
            if line:
                lines.append(line)
            if len(lines) > MOST_ROWS + 1:
                raise TooManyRows(body.count(b"\n"), MOST_ROWS)
    except UnicodeDecodeError:
        raise BadEncoding from None
    except csv.Error as error:
        raise Malformed(f"The body is not CSV: {error}.") from None
    return lines


def _has_header(said: str | None, first: Sequence[str], manifest: Manifest) -> bool:
    if said not in (None, "present", "absent"):
        raise Malformed('The parameter "header" of the content type is present or absent.', field="content-type")
    if said is not None:
        return said == "present"
    columns = manifest.columns
    beside = (ID_TENSOR, TIME_TENSOR, manifest.id_column, manifest.time_column, manifest.label)
    if {*first} & {*(column.name for column in columns), *beside}:
        return True
    if len(first) != len(columns):
        return True
    # Text may be anything, but where a number should be, a name is none.
    told = [_is_value(column, text) for column, text in zip(columns, first, strict=True) if text and _tells(column)]
    return not told or not all(told)


def _tells(column: Column) -> bool:
    return column.dtype in ("float", "integer", "boolean")


def _is_value(column: Column, text: str) -> bool:
    try:
        _field(column, 0, text)
    except BadRows:
        return False
    return True


def _field(column: Column | None, row: int, text: str) -> Any:
    """A field as JSON would have its value."""
    if text == "":
        return None
    if column is None or column.is_category:
        return text
    if column.dtype == "boolean" and text in _BOOLEANS:
        return _BOOLEANS[text]
    digits = text.lstrip("+-")
    if column.dtype == "datetime" and len(text) == _DATE_DIGITS and text.isdigit():
        return text  # a date, and no second of 1970
    if _EXACT_DIGITS < len(digits) < _MOST_DIGITS and digits.isascii() and digits.isdigit():
        return int(text)
    try:
        # Python reads more as a number than anybody writes: 1_000, and the digits of all scripts.
        number = float(text) if text.isascii() and "_" not in text else float("inf")
    except ValueError:
        number = float("inf")
    if number - number != 0:  # NaN and infinity, too: a missing value is an empty field
        if column.dtype == "datetime":
            return text
        raise BadRows(f"Column {column.name!r}, row {row}: {text[:80]!r} is not a number.", field=column.name)
    return number
