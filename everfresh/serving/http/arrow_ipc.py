"""Arrow IPC bodies: many rows as columns of bytes, of which each becomes an array without a step in between.

A column of numbers, of booleans, of times or dates, or of text, each with nulls where values are missing; text best as
a dictionary, which costs a number for each row. A time without a zone is in UTC. The answer comes as an Arrow stream
where the header Accept asks for one.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from everfresh.data.columns import Column
from everfresh.packaging.batch import EncodedCategories
from everfresh.packaging.manifest import Manifest
from everfresh.serving.http.arrow_messages import check_stream, no_stream, stream_of
from everfresh.serving.http.messages import Request, Response
from everfresh.serving.inference import Inference
from everfresh.serving.questions.decoding import ID_TENSOR, LARGEST_INTEGER, MOST_COLUMNS, TIME_TENSOR
from everfresh.serving.questions.tensors import FEW_ROWS, numbers
from everfresh.serving.refusals import BadRows, shortened

STREAM = "application/vnd.apache.arrow.stream"
FILE = "application/vnd.apache.arrow.file"
ARROW = "arrow"
"""What a question wants whose answer is to be an Arrow stream."""

# By the numbers of the types: their own hash is that of their text, and takes a microsecond.
_DTYPES = {
    **{pa.type_for_alias(f"int{bits}").id: np.dtype(f"<i{bits // 8}") for bits in (8, 16, 32, 64)},
    **{pa.type_for_alias(f"uint{bits}").id: np.dtype(f"<u{bits // 8}") for bits in (8, 16, 32, 64)},
    **{pa.type_for_alias(f"float{bits}").id: np.dtype(f"<f{bits // 8}") for bits in (16, 32, 64)},
}
_TEXTS = frozenset({pa.string().id, pa.large_string().id, pa.string_view().id})
_TIMES = frozenset({pa.timestamp("s").id, pa.date32().id, pa.date64().id})
_DICTIONARY, _BOOLEAN, _NULL = pa.dictionary(pa.int8(), pa.string()).id, pa.bool_().id, pa.null().id
_PLAIN = frozenset({*_DTYPES, *_TEXTS, _BOOLEAN, _NULL})
_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000}
_DAY_SECONDS = 86_400


def is_arrow(content_type: str) -> bool:
    """Whether a body is said to be Arrow's."""
    return content_type in (STREAM, FILE)


def read_table(request: Request, manifest: Manifest) -> dict[str, Any]:
    """The columns of an Arrow body, those that the model does not know as empty ones.

    Raises:
        Malformed: it is no Arrow stream.
        TooManyRows: it has too many rows.
        TooLarge: it would be too large once it is decompressed.
        BadRows: a column holds what no column of the model can be.
    """
    stream = stream_of(request.body)
    check_stream(stream)
    try:
        with pa.ipc.open_stream(pa.py_buffer(stream)) as reader:
            names = _checked_names(reader.schema)
            wanted = _wanted(manifest, names)
            for name, column in wanted.items():
                _check_type(name, column, reader.schema.field(name).type)
            table = reader.read_all()
        # What the bytes say of themselves is only believed once it was looked at: offsets, codes, UTF-8.
        for name in wanted:
            table.column(name).validate(full=True)
        read = {name: _values(wanted[name], _whole(table.column(name))) for name in wanted}
    except (pa.ArrowException, OSError, MemoryError, ValueError, KeyError):
        raise no_stream() from None
    return {name: read.get(name, ()) for name in names if name != manifest.label or name in read}


def write_answer(inference: Inference) -> Response:
    """The outputs of V2, a column for each: probabilities as lists of the length of the classes."""
    classes, answer = inference.model.manifest.classes, inference.answer
    if classes:
        columns = {"probabilities": _probabilities(answer), "label": _labels(answer, classes)}
    else:
        columns = {"value": _floats(answer)}
    if inference.row_ids is None:
        columns["id"] = pa.array(list(inference.ids), pa.string())
    return _response(inference, columns)


def write_predictions(inference: Inference, *, probabilities: bool) -> Response:
    """The one column of MLflow's answer."""
    classes, answer = inference.model.manifest.classes, inference.answer
    if classes and probabilities:
        column = _probabilities(answer)
    else:
        column = _labels(answer, classes) if classes else _floats(answer)
    return _response(inference, {"predictions": column})


def _checked_names(schema: pa.Schema) -> list[str]:
    if len(schema) > MOST_COLUMNS:
        raise BadRows(f"The table has {len(schema):,} columns, and one request may have {MOST_COLUMNS:,}.")
    names: list[str] = schema.names
    if len(set(names)) != len(names):
        raise BadRows("Column names are text, and each is there once.")
    return names


def _wanted(manifest: Manifest, names: Sequence[str]) -> dict[str, Column]:
    """The columns that are read: features, and what tells the id and the time of a row."""
    known = {column.name: column for column in manifest.columns}
    beside = {name: Column(name, "integer") for name in (ID_TENSOR, manifest.id_column) if name}
    beside |= {name: Column(name, "datetime") for name in (TIME_TENSOR, manifest.time_column) if name}
    return {name: column for name in names if (column := known.get(name) or beside.get(name)) is not None}


def _check_type(name: str, column: Column, kind: pa.DataType) -> None:
    """Make sure that a column's type is one whose every value means something to the model."""
    if kind.id in _PLAIN or (
        kind.id == _DICTIONARY and (kind.value_type.id in _DTYPES or kind.value_type.id in _TEXTS)
    ):
        return
    if kind.id in _TIMES:
        if column.dtype != "datetime":
            raise BadRows(f"Column {name!r} holds times, and the model reads no time there.", field=name)
        return
    said = f"has the Arrow type {shortened(str(kind))}; send numbers, booleans, times or text"
    if pa.types.is_decimal(kind):
        said += " (a decimal as float64, where it may be rounded)"
    raise BadRows(f"Column {name!r} {said}.", field=name)


def _whole(column: pa.ChunkedArray) -> pa.Array:
    if column.num_chunks == 1:
        return column.chunk(0)
    if pa.types.is_dictionary(column.type):
        column = column.unify_dictionaries()
    whole = column.combine_chunks()
    return whole.combine_chunks() if isinstance(whole, pa.ChunkedArray) else whole


def _values(column: Column, array: pa.Array) -> Sequence[Any] | NDArray[Any] | EncodedCategories:
    """The values of a column as the readers of all protocols take them."""
    kind = array.type
    if kind.id in _DTYPES:
        return _with_gaps(_plain(array, _DTYPES[kind.id]), array)
    if kind.id == _DICTIONARY:
        encoded = _dictionary(array)
        is_kept = column.dtype == "category" and kind.value_type.id in _TEXTS and len(array) > FEW_ROWS
        return encoded if is_kept else [*encoded]
    if kind.id in _TEXTS:
        texts: list[Any] = array.to_pylist()
        return texts
    if kind.id == _NULL:
        return [None] * len(array)
    if kind.id == _BOOLEAN:
        flags = _bits(array.buffers()[1], array)
        if array.null_count:
            return [None if gone else flag for flag, gone in zip(flags.tolist(), _gaps(array).tolist(), strict=True)]
        return numbers(flags)
    return numbers(_fill(_seconds(array), array))


def _dictionary(array: pa.DictionaryArray) -> EncodedCategories:
    """Values by their codes; of a large dictionary only those that are used."""
    codes = _plain(array.indices, _DTYPES[array.indices.type.id]).astype(np.int32)
    gaps = _gaps(array.indices) if array.indices.null_count else None
    if gaps is not None:
        codes[gaps] = 0
    values = array.dictionary
    if len(values) > len(codes) + 1:
        used, places = np.unique(codes, return_inverse=True)
        values, codes = values.take(pa.array(used)), places.astype(np.int32)
    known = values.to_pylist()
    if values.null_count:
        missing = np.array([value is None for value in known])[codes]
        gaps = missing if gaps is None else gaps | missing
        known = ["" if value is None else value for value in known]
    if gaps is not None:
        codes = np.where(gaps, np.int32(-1), codes)
    return EncodedCategories(codes, known)


def _plain(array: pa.Array, dtype: np.dtype[Any]) -> NDArray[Any]:
    """The values as they lie in the buffer, whatever stands where one is missing."""
    if not len(array):
        return np.empty(0, dtype)
    return np.frombuffer(array.buffers()[1], dtype, len(array), array.offset * dtype.itemsize)


def _bits(buffer: pa.Buffer, array: pa.Array) -> NDArray[np.bool_]:
    if not len(array):
        return np.empty(0, np.bool_)
    bits = np.unpackbits(np.frombuffer(buffer, np.uint8), count=array.offset + len(array), bitorder="little")
    return bits[array.offset :].astype(np.bool_)


def _gaps(array: pa.Array) -> NDArray[np.bool_]:
    """Where values are missing."""
    return ~_bits(array.buffers()[0], array)


def _with_gaps(values: NDArray[Any], array: pa.Array) -> Sequence[Any] | NDArray[Any]:
    """Numbers with NaN where they are missing; integers that float64 cannot hold stay what they are."""
    if array.null_count and values.dtype.kind in "iu":
        there = values[~_gaps(array)]
        if len(there) and (int(there.max()) > LARGEST_INTEGER or int(there.min()) < -LARGEST_INTEGER):
            exact: list[Any] = array.to_pylist()
            return exact
    return numbers(_fill(values, array))


def _fill(values: NDArray[Any], array: pa.Array) -> NDArray[Any]:
    if not array.null_count:
        return values
    filled = values.astype(np.float64)
    filled[_gaps(array)] = np.nan
    return filled


def _seconds(array: pa.Array) -> NDArray[np.float64]:
    """Times as seconds since 1970: in whole microseconds, as their text in ISO 8601 would be read."""
    kind = array.type
    if pa.types.is_date32(kind):
        return _plain(array, np.dtype("<i4")) * float(_DAY_SECONDS)
    counted = _plain(array, np.dtype("<i8"))
    unit = "ms" if pa.types.is_date64(kind) else kind.unit
    if unit == "ns":
        counted, unit = counted // 1_000, "us"
    seconds: NDArray[np.float64] = counted / _PER_SECOND[unit]
    return seconds


def _floats(values: NDArray[np.float64]) -> pa.Array:
    return pa.Array.from_buffers(pa.float64(), values.size, [None, pa.py_buffer(np.ascontiguousarray(values))])


def _probabilities(answer: NDArray[np.float64]) -> pa.Array:
    return pa.FixedSizeListArray.from_arrays(_floats(answer), answer.shape[1])


def _labels(answer: NDArray[np.float64], classes: Sequence[str]) -> pa.Array:
    best = np.ascontiguousarray(answer.argmax(axis=1), np.int32)
    codes = pa.Array.from_buffers(pa.int32(), len(best), [None, pa.py_buffer(best)])
    return pa.DictionaryArray.from_arrays(codes, pa.array(list(classes), pa.string()))


def _response(inference: Inference, columns: dict[str, pa.Array]) -> Response:
    told = {
        "model_name": inference.model.name,
        "model_version": str(inference.model.version),
        "id": inference.request_id,
        "classes": json.dumps(inference.model.manifest.classes),
    }
    batch = pa.record_batch(list(columns.values()), names=list(columns)).replace_schema_metadata(told)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return Response(200, sink.getvalue().to_pybytes(), STREAM)
