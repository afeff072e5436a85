"""Tensors as bytes: how the binary protocols write a column, and how it is read and written here.

Numbers lie one after the other, little end first; of a text its length comes before it, in four bytes. A column is a
tensor of the shape [rows] or [rows, 1]. No tensor has a place for what is missing. Among numbers NaN is a missing one,
also of a category or a time: send it as a tensor of numbers. Among texts there is none, for every text, the empty one
too, may be a category. A request may name the text that stands for a missing one, by its parameter `missing`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from everfresh.serving.questions.decoding import check_rows
from everfresh.serving.refusals import BadValue, Malformed, shortened

DTYPES: Mapping[str, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    **{f"INT{bits}": np.dtype(f"<i{bits // 8}") for bits in (8, 16, 32, 64)},
    **{f"UINT{bits}": np.dtype(f"<u{bits // 8}") for bits in (8, 16, 32, 64)},
    **{f"FP{bits}": np.dtype(f"<f{bits // 8}") for bits in (16, 32, 64)},
}
"""The numeric datatypes of the Open Inference Protocol; BYTES, which are texts, and BF16 are beside them."""

FEW_ROWS = 32

_BF16 = np.dtype("<u2")
_LENGTH_BYTES = 4


def read_raw(
    name: str, datatype: str, shape: Sequence[Any], data: bytes | memoryview, missing: str | None = None
) -> list[Any] | NDArray[Any]:
    r"""The values of a column.

    Args:
        name: the column.
        datatype: the protocol's word for what the values are.
        shape: [rows] or [rows, 1].
        data: the bytes of this tensor and no others.
        missing: the text that stands for a missing one.

    Raises:
        Malformed: the bytes are not such values, or more or fewer of them.
        TooManyRows: it is said before anything is done with them.
        BadValue: a text is no UTF-8, or a boolean is something else.

    >>> read_raw("distance", "FP32", [2], b"\x00\x00\xc0\x3f\x00\x00\xc0\x7f")
    [1.5, None]
    >>> read_raw("carrier", "BYTES", [2, 1], b"\x02\x00\x00\x00AA\x00\x00\x00\x00", missing="")
    ['AA', None]
    """
    rows = count_rows(name, shape)
    if datatype == "BYTES":
        return texts(name, _split(name, rows, data), missing)
    dtype = _BF16 if datatype == "BF16" else dtype_of(name, datatype)
    if len(data) != rows * dtype.itemsize:
        needed = f"{rows:,} values of {datatype} are {rows * dtype.itemsize:,}"
        raise Malformed(f"Input {shortened(name)!r} has {len(data):,} bytes, and {needed}.", field=shortened(name))
    check_rows(rows)
    if datatype == "BOOL":
        _check_booleans(name, data)
    values = np.frombuffer(data, dtype)
    if datatype == "BF16":
        # It is the upper half of an FP32.
        values = (values.astype(np.uint32) << np.uint32(16)).view(np.float32)
    return numbers(values)


def write_raw(datatype: str, values: Sequence[Any] | NDArray[Any]) -> bytes:
    r"""The bytes of values, in the order of their rows.

    >>> write_raw("BYTES", ["AA", ""]), write_raw("INT16", [1, -1])
    (b'\x02\x00\x00\x00AA\x00\x00\x00\x00', b'\x01\x00\xff\xff')
    """
    if datatype != "BYTES":
        return np.asarray(values, DTYPES[datatype]).tobytes()
    encoded = [text.encode() for text in values]
    return b"".join(part for text in encoded for part in (len(text).to_bytes(_LENGTH_BYTES, "little"), text))


def count_rows(name: str, shape: Sequence[Any]) -> int:
    """How many rows a tensor says that it has.

    Raises:
        Malformed: its shape is not that of a column.
    """
    # A shape may be called so and be anything, where it comes as JSON.
    if not isinstance(shape, str) and 1 <= len(shape) <= 2 and all(type(size) is int and size >= 0 for size in shape):
        rows: int = shape[0]
        if len(shape) == 1 or shape[1] == 1:
            return rows
    raise Malformed(f"Input {shortened(name)!r} must have the shape [rows] or [rows, 1].", field=shortened(name))


def dtype_of(name: str, datatype: str) -> np.dtype[Any]:
    """How the numbers of a datatype are written.

    Raises:
        Malformed: there is no such datatype.
    """
    found = DTYPES.get(datatype)
    if found is None:
        said = f"has the datatype {shortened(datatype)!r}; a column is one of {', '.join(DTYPES)}, BF16 and BYTES."
        raise Malformed(f"Input {shortened(name)!r} {said}", field=shortened(name))
    return found


def numbers(values: NDArray[Any]) -> list[Any] | NDArray[Any]:
    """Numbers as they are answered fastest: a few as a list, which can be answered together with others.

    What is no finite number stays typed, for only then is it looked for; NaN is a missing number in both.

    >>> numbers(np.array([0.5, np.nan])), numbers(np.array([0.5, np.inf]))
    ([0.5, None], array([0.5, inf]))
    """
    if len(values) > FEW_ROWS or (values.dtype.kind == "f" and np.isinf(values).any()):
        return values
    plain: list[Any] = values.tolist()
    return [None if value != value else value for value in plain] if values.dtype.kind == "f" else plain


def texts(name: str, values: Sequence[bytes | memoryview], missing: str | None = None) -> list[str | None]:
    """Texts of bytes.

    Raises:
        BadValue: one is no UTF-8.
    """
    found = (text(name, row, value) for row, value in enumerate(values))
    return [None if value == missing else value for value in found]


def text(name: str, row: int, value: bytes | memoryview) -> str:
    """The text of one row.

    Raises:
        BadValue: it is no UTF-8.
    """
    try:
        return str(value, "utf-8")
    except UnicodeDecodeError:
        raise BadValue(shortened(name), row, bytes(value[:81]), "text in UTF-8") from None


def _split(name: str, rows: int, data: bytes | memoryview) -> list[memoryview]:
    """The bytes of each text. No length in them is believed before the bytes were counted."""
    view = memoryview(data)
    if len(view) < rows * _LENGTH_BYTES:
        raise _wrong_texts(name, rows)
    check_rows(rows)
    found, start = [], 0
    for _ in range(rows):
        end = start + _LENGTH_BYTES
        end += int.from_bytes(view[start:end], "little") if end <= len(view) else 0
        if end > len(view):
            raise _wrong_texts(name, rows)
        found.append(view[start + _LENGTH_BYTES : end])
        start = end
    if start != len(view):
        raise _wrong_texts(name, rows)
    return found


def _wrong_texts(name: str, rows: int) -> Malformed:
    said = f"is not {rows:,} texts, each after its length in four bytes."
    return Malformed(f"Input {shortened(name)!r} {said}", field=shortened(name))


def _check_booleans(name: str, data: bytes | memoryview) -> None:
    found = np.frombuffer(data, np.uint8)
    if (found > 1).any():
        row = int(np.argmax(found > 1))
        raise BadValue(shortened(name), row, int(found[row]), "a boolean: 0 or 1")
