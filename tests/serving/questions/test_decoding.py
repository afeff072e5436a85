from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from everfresh.data.columns import Column
from everfresh.data.frames import epoch_seconds, model_frame
from everfresh.packaging.batch import EncodedCategories, batch_of
from everfresh.packaging.manifest import Manifest
from everfresh.serving.questions.decoding import MOST_ROWS, RowReader, columns_of_records, columns_of_rows
from everfresh.serving.refusals import BadRows, BadValue, OutOfRange, Refusal

COLUMNS = (
    Column("distance", "float"),
    Column("stops", "integer"),
    Column("weekend", "boolean"),
    Column("carrier", "category"),
    Column("booked_at", "datetime"),
    Column("seat", "float", nullable=False),
)
READER = RowReader(
    Manifest(
        name="flights",
        task="regression",
        classes=(),
        columns=COLUMNS,
        label="delay",
        created_at=datetime(2013, 1, 1, tzinfo=UTC),
        id_column="flight_id",
        time_column="at",
    )
)
GOOD = {"distance": [1.5], "stops": [2], "weekend": [True], "carrier": ["AA"], "booked_at": [0], "seat": [1]}


def read(**changes):
    return READER.read({**GOOD, **changes})


def number(column, value):
    return read(**{column: [value]}).batch.numbers[column][0]


def test_numbers_booleans_and_times_become_float64_and_categories_text():
    batch = read().batch
    assert {name: values.tolist() for name, values in batch.numbers.items()} == {
        "distance": [1.5],
        "stops": [2.0],
        "weekend": [1.0],
        "booked_at": [0.0],
        "seat": [1.0],
    }
    assert batch.categories == {"carrier": ["AA"]}


@pytest.mark.parametrize("column", ["distance", "stops", "weekend", "booked_at"])
def test_null_is_a_missing_number(column):
    assert math.isnan(number(column, None))


def test_null_is_a_missing_category():
    assert read(carrier=[None]).batch.categories["carrier"] == [None]


@pytest.mark.parametrize(
    ("sent", "seconds"),
    [
        ("1970-01-01T00:01:00Z", 60.0),
        ("1970-01-01T00:01:00", 60.0),
        ("1970-01-01 00:01:00.25", 60.25),
        ("1970-01-02", 86_400.0),
        ("1970-01-01T02:00:00+02:00", 0.0),
        ("1969-12-31T23:59:59.500000Z", -0.5),
        (60, 60.0),
        (60.25, 60.25),
    ],
)
def test_a_time_is_iso_8601_or_seconds_and_a_naive_one_is_utc(sent, seconds):
    assert number("booked_at", sent) == seconds


@given(st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1)), st.integers(-14, 14))
@settings(max_examples=50)
def test_a_time_becomes_the_number_that_training_made_of_it(moment, hours):
    aware = moment.replace(tzinfo=timezone(timedelta(hours=hours)))
    trained = epoch_seconds(pd.Series([pd.Timestamp(aware).tz_convert("UTC")]))[0]
    assert number("booked_at", aware.isoformat()) == trained


@pytest.mark.parametrize(
    "sent",
    [
        "yesterday", "", "2013-13-01", "1357017300", True, [], {},
        1_357_017_300_000,  # milliseconds
        1_357_017_300_000_000_000,  # nanoseconds
        "0001-01-01T00:00:00+10:00",  # before the calendar begins, in UTC
        "9999-12-31T23:59:59-10:00",
    ],
)  # fmt: skip
def test_what_is_no_time_is_refused(sent):
    with pytest.raises(BadValue, match=r"Column 'booked_at', row 1: .* is not a time"):
        read(**{name: values * 2 for name, values in GOOD.items()} | {"booked_at": [0, sent]})


@pytest.mark.parametrize(
    ("column", "value", "wanted"),
    [
        ("distance", "12", "a number"),
        ("distance", True, "a number"),
        ("distance", [1], "a number"),
        ("distance", {"a": 1}, "a number"),
        ("distance", 2**53 + 1, "an integer that float64 can hold"),
        ("distance", -(2**63), "an integer that float64 can hold"),
        ("stops", 1.5, "an integer"),
        ("stops", 1e17, "an integer that float64 can hold"),
        ("stops", "3", "a number"),
        ("weekend", 2, "a boolean"),
        ("weekend", "yes", "a boolean"),
        ("carrier", ["AA"], "a category"),
        ("carrier", "A" * 1001, "a category of at most 1000 characters"),
        ("seat", None, "a value, and this column may not lack one"),
    ],
)
def test_a_wrong_value_is_refused_by_column_row_and_value(column, value, wanted):
    rows = {name: values * 3 for name, values in GOOD.items()}
    rows[column] = [*GOOD[column] * 2, value]
    with pytest.raises(BadValue, match=rf"^Column '{column}', row 2: .* is not {wanted}\.$") as refused:
        read(**rows)
    assert refused.value.field == column


def test_a_large_float_is_a_number_and_a_large_integer_in_a_column_of_floats_is_not():
    assert number("distance", 1e300) == 1e300
    assert number("distance", 2**53) == 2**53


def test_a_missing_category_is_refused_where_the_column_may_not_lack_one():
    reader = RowReader(
        Manifest("m", "regression", (), (Column("c", "category", nullable=False),), "y", datetime.now(UTC))
    )
    with pytest.raises(BadValue, match="Column 'c', row 1: null is not a value"):
        reader.read({"c": ["a", None]})


@pytest.mark.parametrize(("sent", "text"), [(5, "5"), (5.0, "5"), (0.5, "0.5"), (True, "true"), ("5", "5"), ("", "")])
def test_a_category_has_one_way_to_be_written(sent, text):
    assert read(carrier=[sent]).batch.categories["carrier"] == [text]


def test_a_refused_value_is_shown_on_one_short_line():
    with pytest.raises(BadValue) as refused:
        read(distance=["x\n" * 10_000])
    assert len(str(refused.value)) < 200
    assert "\n" not in str(refused.value)


def test_a_value_nested_as_deeply_as_json_allows_is_refused_and_not_written_out():
    deep = []
    for _ in range(1020):
        deep = [deep]
    with pytest.raises(BadValue, match="a list is not a number"):
        read(distance=[deep])


def test_columns_must_be_the_models():
    with pytest.raises(BadRows, match=r"lacks the columns 'distance', 'stops'"):
        READER.read({name: values for name, values in GOOD.items() if name not in ("distance", "stops")})
    with pytest.raises(BadRows, match=r"does not know the column 'distnace'; it reads distance, stops"):
        read(distnace=[1])
    with pytest.raises(BadRows, match="'carrier' has 2 values, and others have 1"):
        read(carrier=["AA", "B6"])


def test_a_label_that_comes_along_is_ignored():
    assert read(delay=["anything"]).batch.rows == 1


def test_no_rows_and_too_many_are_refused():
    with pytest.raises(Refusal, match="no rows"):
        READER.read({name: [] for name in GOOD})
    with pytest.raises(Refusal, match="10,001 rows, and one request may have 10,000"):
        READER.read({name: values * (MOST_ROWS + 1) for name, values in GOOD.items()})


def test_ids_come_from_the_projects_column_or_from_the_tensor():
    assert read(flight_id=["a"]).ids == ("a",)
    assert read(flight_id=[7]).ids == ("7",)
    assert read(**{"$id": ["b"]}, flight_id=["a"]).ids == ("b",)
    assert read().ids is None


@pytest.mark.parametrize("value", [None, "", True, 1.5, [], "a" * 1001])
def test_what_is_no_id_is_refused(value):
    with pytest.raises(BadValue, match=r"Column 'flight_id', row 0: .* is not an id"):
        read(flight_id=[value])


def test_times_of_rows_are_kept_in_utc_for_the_log():
    times = READER.read(
        {name: values * 3 for name, values in GOOD.items()} | {"at": ["2013-01-01T01:00:00.000001+01:00", None, 60.5]}
    ).times
    assert times.tolist() == [datetime(2013, 1, 1, 0, 0, 0, 1), None, datetime(1970, 1, 1, 0, 1, 0, 500_000)]
    assert read().times is None


def test_rows_become_columns():
    assert columns_of_rows(["a", "b"], [[1, 2], [3, 4]]) == {"a": (1, 3), "b": (2, 4)}
    assert columns_of_rows(["a", "b"], []) == {"a": (), "b": ()}


@pytest.mark.parametrize(
    ("names", "rows"), [(["a", "a"], [[1, 2]]), (["a", 1], [[1, 2]]), (["a"], [[1, 2]]), (["a"], [1]), (["a"], ["b"])]
)
def test_rows_that_do_not_fit_their_names_are_refused(names, rows):
    with pytest.raises(BadRows):
        columns_of_rows(names, rows)


def test_a_key_that_a_record_lacks_is_a_missing_value():
    assert columns_of_records([{"a": 1}, {"b": 2}]) == {"a": [1, None], "b": [None, 2]}


def test_records_with_no_end_of_different_keys_are_refused():
    with pytest.raises(BadRows, match="5,000 different keys"):
        columns_of_records([{f"k{i}": 1} for i in range(5000)])


values = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(max_size=5)


@given(st.fixed_dictionaries({column.name: st.lists(values, min_size=2, max_size=2) for column in COLUMNS}))
@settings(max_examples=100)
def test_whatever_is_sent_is_read_or_refused_with_its_column(table):
    refused = None
    try:
        rows = READER.read(table)
    except BadValue as refusal:
        refused = refusal
    if refused is not None:
        assert refused.field in table
    else:
        assert not any(np.isinf(values).any() for values in rows.batch.numbers.values())


@given(
    st.lists(
        st.tuples(st.none() | st.floats(-1e9, 1e9), st.none() | st.integers(-9, 9), st.none() | st.booleans()),
        min_size=1,
        max_size=5,
    )
)
@settings(max_examples=50)
def test_a_request_is_the_batch_that_the_same_rows_of_a_table_are(rows):
    columns = (Column("f", "float"), Column("i", "integer"), Column("b", "boolean"))
    reader = RowReader(Manifest("m", "regression", (), columns, "y", datetime.now(UTC)))
    sent = dict(zip("fib", map(list, zip(*rows, strict=True)), strict=True))
    table = pd.DataFrame({name: pd.Series(values, dtype="object") for name, values in sent.items()})
    expected = batch_of(model_frame(table.assign(b=table["b"].astype("boolean")), columns), columns)
    for name, values in reader.read(sent).batch.numbers.items():
        np.testing.assert_array_equal(values, expected.numbers[name])


def reader_of(column):
    return RowReader(
        Manifest(
            name="flights",
            task="regression",
            classes=(),
            columns=(column,),
            label="delay",
            created_at=datetime(2013, 1, 1, tzinfo=UTC),
        )
    )


def encoded(*values, known=("AA", "UA")):
    return EncodedCategories(np.array([known.index(v) if v else -1 for v in values], dtype=np.int32), known)


def test_an_encoded_category_stays_so_and_means_what_its_list_means():
    reader = reader_of(Column("carrier", "category"))
    rows = reader.read({"carrier": encoded("UA", None, "AA")})
    assert isinstance(rows.batch.categories["carrier"], EncodedCategories)
    assert list(rows.batch.categories["carrier"]) == ["UA", None, "AA"]
    assert list(rows.where(np.array([True, False, True])).batch.categories["carrier"]) == ["UA", "AA"]


def test_an_encoded_category_is_checked_where_a_row_has_it():
    reader = reader_of(Column("carrier", "category", nullable=False))
    with pytest.raises(BadValue, match="row 1: null is not a value, and this column may not lack one"):
        reader.read({"carrier": encoded("UA", None)})
    known = ("AA", "x" * 1001)
    assert reader.read({"carrier": encoded("AA", known=known)}).batch.rows == 1
    with pytest.raises(BadValue, match=r"row 1: .* is not a category of at most 1000 characters"):
        reader.read({"carrier": encoded("AA", known[1], known=known)})


@pytest.mark.parametrize("value", [1e30, -1e16, float(2**53), math.inf])
def test_a_number_whose_digits_are_lost_is_no_category(value):
    with pytest.raises(OutOfRange, match="write so large a number as text"):
        reader_of(Column("carrier", "category")).read({"carrier": ["AA", value]})
