"""From answers to a table of the inference log. It shares an interpreter with the requests: it loops over little."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from everfresh.data.columns import Column
from everfresh.data.inference_log.columns import log_schema
from everfresh.data.inference_log.policy import KEEP_ALL, LogPolicy, hashed
from everfresh.packaging.batch import Batch, Categories, EncodedCategories
from everfresh.serving.inference import AnsweredBatch, Asked, made_ids
from everfresh.serving.questions.decoding import Rows


def log_table(batches: Sequence[AnsweredBatch], policy: LogPolicy = KEEP_ALL, key: bytes = b"") -> pa.Table:
    """Answers of one version, in the columns of `everfresh.data.inference_log.log_schema`.

    Args:
        batches: the answers.
        policy: which features are left out or hashed; what it samples is decided before.
        key: what they are hashed with.
    """
    lone = [batch for batch in batches if batch.rows.batch.rows == 1]
    if 0 < len(lone) < len(batches):
        others = [batch for batch in batches if batch.rows.batch.rows > 1]
        return pa.concat_tables([_table(lone, policy, key), _table(others, policy, key)])
    return _table(batches, policy, key)


def _table(batches: Sequence[AnsweredBatch], policy: LogPolicy, key: bytes) -> pa.Table:
    manifest = batches[0].model.manifest
    asked = [one for batch in batches for one in batch.asked]
    counts = [count for batch in batches for count in batch.counts]
    rows = sum(counts)
    of_request = None if len(counts) == rows else np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    received_ns = np.array([one.received_ns for one in asked], dtype=np.int64)
    answered_ns = np.repeat([batch.answered_ns for batch in batches], [len(batch.asked) for batch in batches])
    received = _spread(received_ns // 1000, of_request).view("datetime64[us]")
    parts = [batch.rows for batch in batches]
    features = _features([part.batch for part in parts], [c for c in manifest.columns if c.name not in policy.dropped])
    answer = _joined([batch.answer for batch in batches]).reshape(rows, -1)
    columns: list[Any] = [
        pa.array(_ids(batches), pa.string()),
        _times(parts, received),
        received,
        _constant(manifest.name, rows),
        np.full(rows, batches[0].model.version),
        _variants(batches, rows),
        _request_ids(asked, of_request),
        _spread((answered_ns - received_ns) / 1e9, of_request),
        *(_hashed(values, key) if name in policy.hashed else values for name, values in features.items()),
        *(np.ascontiguousarray(answer[:, position]) for position in range(answer.shape[1])),
    ]
    schema = log_schema(manifest.columns, manifest.classes, policy)
    fields = zip(columns, schema, strict=True)
    return pa.Table.from_arrays(
        [
            values if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array(values, f.type)
            for values, f in fields
        ],
        names=schema.names,
    )


def _features(parts: Sequence[Batch], columns: Sequence[Column]) -> dict[str, pa.Array | pa.ChunkedArray]:
    """The columns of the features, in their order."""
    names = [column.name for column in columns if not column.is_category]
    texts = [column.name for column in columns if column.is_category]
    lists = [part.categories for part in parts]
    arrays = [part.numbers for part in parts]
    if all(part.rows == 1 for part in parts):
        found = {**_lone_numbers(arrays, names), **_lone_texts(lists, texts)}
    else:
        found = {name: _numbers(_joined([each[name] for each in arrays])) for name in names}
        found |= {name: _texts([each[name] for each in lists]) for name in texts}
    return {column.name: found[column.name] for column in columns}


def _lone_numbers(arrays: Sequence[Mapping[str, NDArray[np.float64]]], names: Sequence[str]) -> dict[str, pa.Array]:
    """Columns from rows that came one by one: row after row, as they lie in memory, which is far quicker."""
    known = list(arrays[0])
    if not set(names) <= {*known} or any(list(each) != known for each in arrays):
        return {name: _numbers(_joined([each[name] for each in arrays])) for name in names}
    matrix = _joined([values for each in arrays for values in each.values()]).reshape(len(arrays), len(known))
    places = {name: place for place, name in enumerate(known)}
    return {name: _numbers(np.ascontiguousarray(matrix[:, places[name]])) for name in names}


def _lone_texts(lists: Sequence[Mapping[str, Categories]], names: Sequence[str]) -> dict[str, pa.Array]:
    known = list(lists[0])
    if not set(names) <= {*known} or any(list(each) != known for each in lists):
        return {name: pa.array([next(iter(each[name])) for each in lists], pa.string()) for name in names}
    values = [value for each in lists for one in each.values() for value in one]
    places = {name: place for place, name in enumerate(known)}
    return {name: pa.array(values[places[name] :: len(known)], pa.string()) for name in names}


def _numbers(values: NDArray[np.float64]) -> pa.Array:
    # from_pandas: NaN, the missing number, becomes null.
    return pa.array(values, pa.float64(), from_pandas=True)


def _spread(values: NDArray[Any], of_request: NDArray[np.int32] | None) -> NDArray[Any]:
    """A value for each row, from a value for each request."""
    return values if of_request is None else values[of_request]


def _ids(batches: Sequence[AnsweredBatch]) -> list[str]:
    ids: list[str] = []
    for batch in batches:
        if batch.rows.ids is not None:
            ids += batch.rows.ids
        else:
            for one, count in zip(batch.asked, batch.counts, strict=True):
                if count == 1:
                    ids.append(one.request_id + "-0")
                else:
                    ids += made_ids(one.request_id, count)
    return ids


def _request_ids(asked: Sequence[Asked], of_request: NDArray[np.int32] | None) -> pa.Array:
    ids = pa.array([one.request_id for one in asked], pa.string())
    return ids if of_request is None else ids.take(pa.array(of_request))


def _constant(value: str, rows: int) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, dtype=np.int32)), pa.array([value]))


def _variants(batches: Sequence[AnsweredBatch], rows: int) -> pa.DictionaryArray:
    names = [batch.variant for batch in batches]
    distinct = list(dict.fromkeys(names))
    if len(distinct) == 1:
        return _constant(distinct[0], rows)
    codes = np.repeat(
        np.array([distinct.index(name) for name in names], dtype=np.int32), [b.rows.batch.rows for b in batches]
    )
    return pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(distinct))


def _times(parts: Sequence[Rows], received: NDArray[np.datetime64]) -> NDArray[np.datetime64]:
    """When the rows happened: by their own account, else when they came."""
    if all(part.times is None for part in parts):
        return received
    unknown = np.datetime64("NaT", "us")
    told = np.concatenate(
        [part.times if part.times is not None else np.full(part.batch.rows, unknown) for part in parts]
    )
    return np.where(np.isnat(told), received, told)


def _texts(columns: Sequence[Categories]) -> pa.Array | pa.ChunkedArray:
    if not any(isinstance(values, EncodedCategories) for values in columns):
        return pa.array(list(chain.from_iterable(columns)), pa.string())
    return pa.chunked_array([_text_array(values) for values in columns], pa.string())


def _text_array(values: Categories) -> pa.Array:
    if not isinstance(values, EncodedCategories):
        return pa.array(values, pa.string())
    codes = pa.array(values.codes, pa.int32(), mask=values.codes < 0)
    return pa.DictionaryArray.from_arrays(codes, pa.array(values.values, pa.string())).cast(pa.string())


def _hashed(values: pa.Array | pa.ChunkedArray, key: bytes) -> pa.Array:
    return pa.array(hashed(values.to_pylist(), key), pa.string())


def _joined(arrays: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Arrays one after the other, as `np.concatenate` does it; for arrays of one row, in a quarter of its time."""
    if len(arrays[0]) > 1:
        return np.concatenate(arrays)
    try:
        return np.frombuffer(b"".join(arrays), dtype=np.float64)  # type: ignore[arg-type]
    except (ValueError, BufferError):  # one of them has gaps in memory
        return np.concatenate(arrays).ravel()
