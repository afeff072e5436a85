"""Columns as bytes, and back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from everfresh.serving.questions.tensors import DTYPES, FEW_ROWS, count_rows, numbers, read_raw, write_raw
from everfresh.serving.refusals import BadValue, Malformed, Refusal, TooManyRows


@given(values=st.lists(st.text(max_size=20), max_size=60))
@settings(max_examples=50, deadline=None)
def test_texts_come_back_as_they_were_written(values):
    assert read_raw("carrier", "BYTES", [len(values)], write_raw("BYTES", values)) == values


@pytest.mark.parametrize("datatype", DTYPES)
@pytest.mark.parametrize("rows", [1, FEW_ROWS, FEW_ROWS + 1])
def test_numbers_come_back_as_they_were_written(datatype, rows):
    values = np.arange(rows) % 2
    read = read_raw("stops", datatype, [rows, 1], write_raw(datatype, values))
    assert isinstance(read, list if rows <= FEW_ROWS else np.ndarray)
    assert list(read) == values.tolist()


def test_a_bf16_is_the_upper_half_of_an_fp32():
    data = np.array([1.5, -2.0, np.nan], "<f4").view("<u2")[1::2].tobytes()
    assert read_raw("distance", "BF16", [3], data) == [1.5, -2.0, None]


def test_nan_is_a_missing_number_and_no_number_is_infinite_unseen():
    assert numbers(np.array([1.0, np.nan])) == [1.0, None]
    assert isinstance(numbers(np.array([1.0, -np.inf])), np.ndarray)


def test_a_text_is_missing_where_it_is_the_one_that_means_that():
    data = write_raw("BYTES", ["", "AA"])
    assert read_raw("carrier", "BYTES", [2], data) == ["", "AA"]
    assert read_raw("carrier", "BYTES", [2], data, missing="") == [None, "AA"]


@pytest.mark.parametrize("shape", [[], [1, 1, 1], [1, 2], [-1], [1.0], [True], ["1"], "11", [None, 1]])
def test_a_shape_that_no_column_has_is_refused(shape):
    with pytest.raises(Malformed, match=r"'distance' must have the shape \[rows\] or \[rows, 1\]"):
        count_rows("distance", shape)


def test_more_rows_than_a_request_may_have_are_refused_where_they_are_really_there():
    with pytest.raises(TooManyRows):
        read_raw("distance", "INT8", [10_001], bytes(10_001))
    with pytest.raises(TooManyRows):
        read_raw("carrier", "BYTES", [10_001], bytes(4 * 10_001))
    with pytest.raises(Malformed, match="has 8 bytes, and 1,000,000,000,000 values of FP64 are 8,000,000,000,000"):
        read_raw("distance", "FP64", [10**12], bytes(8))
    with pytest.raises(Malformed, match="is not 1,000,000,000,000 texts"):
        read_raw("carrier", "BYTES", [10**12], bytes(8))


@pytest.mark.parametrize(
    "data",
    [b"", b"\x01", b"\x05\x00\x00\x00AA", b"\xff\xff\xff\xffAA", b"\x02\x00\x00\x00AAA", b"\x00\x00\x00\x00\x00"],
)
def test_texts_whose_lengths_are_not_true_are_refused(data):
    with pytest.raises(Malformed, match="'carrier' is not 1 texts, each after its length in four bytes"):
        read_raw("carrier", "BYTES", [1], data)


def test_a_value_that_its_datatype_does_not_have_is_named():
    with pytest.raises(BadValue, match=r"Column 'weekend', row 1: 2 is not a boolean: 0 or 1\."):
        read_raw("weekend", "BOOL", [2], b"\x01\x02")
    with pytest.raises(BadValue, match=r"Column 'carrier', row 0: .*xff.* is not text in UTF-8\."):
        read_raw("carrier", "BYTES", [1], b"\x01\x00\x00\x00\xff")


@given(
    datatype=st.sampled_from([*DTYPES, "BYTES", "BF16"]) | st.text(max_size=8),
    shape=st.lists(st.integers(-1, 5) | st.integers(), max_size=3),
    data=st.binary(max_size=40),
)
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_a_column_or_a_refusal(datatype, shape, data):
    values = column_or_sentence(datatype, shape, memoryview(data))
    assert len(values) == shape[0] if not isinstance(values, str) else values.endswith(".")


def column_or_sentence(datatype, shape, data):
    try:
        return read_raw("distance", datatype, shape, data)
    except Refusal as refusal:
        return str(refusal)
