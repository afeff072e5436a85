from datetime import date, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from everfresh.data.columns import Column, plain_text
from everfresh.data.frames import category_values, label_array, model_frame, numbers
from everfresh.errors import MissingColumn, NotNumbers, UnparsableTimes
from everfresh.spec.data import DataSpec

DATA = DataSpec.model_validate({"source": {"kind": "csv", "path": "x.csv"}, "label": "late"})
NUMBERS = st.one_of(st.booleans(), st.integers(-(2**70), 2**70), st.floats(), st.decimals(allow_nan=False))
SCALARS = st.one_of(st.none(), NUMBERS, st.text(max_size=3))


def objects(*values: object) -> pd.Series:
    return pd.Series(list(values), dtype=object, name="x")


def as_read(values: pd.Series) -> list[Any]:
    return [None if value != value else value for value in values.tolist()]


def test_a_model_frame_has_the_columns_of_the_model_in_their_order_and_nothing_else() -> None:
    table = pd.DataFrame({"late": [1, 0], "carrier": ["AA", None], "gate": [5.0, 7.0], "distance": [300, 2475]})

    frame = model_frame(
        table, [Column("distance", "integer"), Column("gate", "category"), Column("carrier", "category")]
    )

    assert list(frame.columns) == ["distance", "gate", "carrier"]
    assert frame["distance"].tolist() == [300.0, 2475.0]
    assert frame["gate"].tolist() == ["5", "7"]
    assert as_read(frame["carrier"]) == ["AA", None]
    assert frame.dtypes.astype("str").tolist() == ["float64", "str", "str"]


@pytest.mark.parametrize("values", [[None, None], [], [pd.NA, None]])
def test_a_column_without_a_value_has_the_type_of_any_other(values: list[object]) -> None:
    table = pd.DataFrame({"c": objects(*values), "n": objects(*values)})

    frame = model_frame(table, [Column("c", "category"), Column("n", "float")])

    assert frame.dtypes.astype("str").tolist() == ["str", "float64"]
    assert frame.isna().all(axis=None)


def test_an_infinity_is_missing() -> None:
    frame = model_frame(pd.DataFrame({"x": [1.0, np.inf, -np.inf, np.nan]}), [Column("x", "float")])

    assert as_read(frame["x"]) == [1.0, None, None, None]


@pytest.mark.parametrize(
    "values", [["2013-07-01T12:00Z"], pd.to_datetime(["2013-07-01T12:00"]), [1372680000.0], [datetime(2013, 7, 1, 12)]]
)
def test_a_datetime_is_seconds_whether_it_comes_as_text_as_a_time_or_as_seconds(values: Any) -> None:
    frame = model_frame(pd.DataFrame({"at": values}), [Column("at", "datetime")])

    assert frame["at"].tolist() == [1372680000.0]


def test_text_that_is_no_time_in_a_column_of_times_is_refused() -> None:
    with pytest.raises(UnparsableTimes, match="'soon'"):
        model_frame(pd.DataFrame({"at": ["soon"]}), [Column("at", "datetime")])


def test_a_feature_that_is_not_there_is_named_with_its_likely_new_name() -> None:
    with pytest.raises(MissingColumn, match=r"no column 'distance', which is a feature.*Did you mean 'distance_km'"):
        model_frame(pd.DataFrame({"distance_km": [1]}), [Column("distance", "float")])


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (pd.Series([1, None], dtype="Int64"), [1.0, None]),
        (pd.Series([1, 0], dtype="uint8"), [1.0, 0.0]),
        (pd.Series([True, None], dtype="boolean"), [1.0, None]),
        (pd.Series([True, False]), [1.0, 0.0]),
        (pd.Series([1.5, None], dtype="Float32"), [1.5, None]),
        (pd.Series([1.5, None], dtype="double[pyarrow]"), [1.5, None]),
        (pd.Series(["1.5", None, " 2 ", "1e3"]), [1.5, None, 2.0, 1000.0]),
        (pd.Series(["1", "2"], dtype="category"), [1.0, 2.0]),
        (objects(Decimal("1.5"), None, 2, True, np.float32(0.5)), [1.5, None, 2.0, 1.0, 0.5]),
        (objects(2**70), [float(2**70)]),
        (pd.Series(pd.to_datetime(["1970-01-01T00:01", None])), [60.0, None]),
        (pd.Series(pd.to_datetime(["1970-01-01T01:01+01:00"])), [60.0]),
    ],
)
def test_whatever_counts_as_numbers_is_float64(values: pd.Series, expected: list[float | None]) -> None:
    read = numbers(values)

    assert read.dtype == np.float64
    assert as_read(read) == expected


@pytest.mark.parametrize(
    "values",
    [
        ["abc"], ["1,5"], ["0x10"], [""], ["nan"], [[1]], [(1, 2)], [{}], [b"1"], [date(2013, 7, 1)],
        [datetime(2013, 7, 1)], [pd.Timestamp("2013-07-01", tz="UTC")],
    ],
)  # fmt: skip
def test_whatever_is_no_number_is_refused_and_shown(values: list[object]) -> None:
    with pytest.raises(NotNumbers, match=r"'x' must hold numbers, but 1 value is none, such as"):
        numbers(objects(1, *values))


@pytest.mark.parametrize(
    "values",
    [
        pd.Series([pd.Timedelta("1D")]),
        pd.Series([pd.Period("2013-07")]),
        pd.Series([1 + 2j]),
        pd.Series([pd.Interval(0, 1)]),
    ],
)
def test_types_that_only_look_like_numbers_inside_are_refused(values: pd.Series) -> None:
    with pytest.raises(NotNumbers):
        numbers(values)


@given(st.lists(SCALARS, max_size=8))
def test_a_column_of_categories_is_what_each_value_is_by_itself(values: list[object]) -> None:
    assert as_read(category_values(objects(*values))) == [plain_text(value) for value in values]


@given(st.lists(st.one_of(st.none(), st.integers(-5, 5)), max_size=8))
def test_integers_are_the_same_categories_in_every_type(values: list[int | None]) -> None:
    expected = [plain_text(value) for value in values]

    for dtype in ("Int64", "Float64", "float64", "object", "category"):
        assert as_read(category_values(pd.Series(values, dtype=dtype))) == expected


@pytest.mark.parametrize("dtype", ["str", "string", "object", "category", "string[pyarrow]"])
def test_text_is_the_same_categories_in_every_type(dtype: str) -> None:
    read = category_values(pd.Series(["b", None, "a", "b", ""], dtype=dtype, index=[3, 1, 4, 1, 5], name="x"))

    assert as_read(read) == ["b", None, "a", "b", ""]
    assert read.index.tolist() == [3, 1, 4, 1, 5]
    assert read.name == "x"
    assert read.dtype == "str"


def test_labels_of_a_classification_are_text_and_of_a_regression_numbers() -> None:
    table = pd.DataFrame({"late": [1.0, 0.0]})

    assert label_array(table, DATA, "classification").tolist() == ["1", "0"]
    assert label_array(table, DATA, "regression").tolist() == [1.0, 0.0]


def test_labels_that_are_not_there_or_no_numbers_are_refused() -> None:
    with pytest.raises(MissingColumn, match="'late', which is the label"):
        label_array(pd.DataFrame({"x": [1]}), DATA, "regression")
    with pytest.raises(NotNumbers, match="'very'"):
        label_array(pd.DataFrame({"late": ["very"]}), DATA, "regression")
