from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from everfresh.data.columns import Column
from everfresh.data.frames import model_frame
from everfresh.data.inference import Features, infer_columns
from everfresh.data.schema_check import check_schema
from everfresh.errors import MissingColumn, NoFeatures
from everfresh.spec.data import DataSpec


def spec(**keys: Any) -> DataSpec:
    return DataSpec.model_validate({"source": {"kind": "csv", "path": "x.csv"}, "label": "late"} | keys)


def inferred(values: Any, **keys: Any) -> Features:
    """What is told of a column `x` beside a label and a column that is always a feature."""
    table = pd.DataFrame({"x": values})
    return infer_columns(table.assign(always=range(len(table)), late=1), spec(**keys))


def kind(values: Any) -> str | None:
    return next((column.dtype for column in inferred(values).columns if column.name == "x"), None)


def why_not(values: Any, **keys: Any) -> str:
    return dict(inferred(values, **keys).ignored)["x"]


def objects(*values: object) -> pd.Series:
    return pd.Series(list(values), dtype=object)


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([1.5, 2.0], "float"),
        ([1.0, 2.0, None], "float"),
        (pd.Series([1.5, 2.0], dtype="float32"), "float"),
        (objects(Decimal("1.5"), Decimal(2)), "float"),
        (objects(1, 2.5), "float"),
        ([1, 2], "integer"),
        (pd.Series([1, None, 3], dtype="Int64"), "integer"),
        (pd.Series([1, 2], dtype="uint8"), "integer"),
        (objects(1, None, 3), "integer"),
        ([True, False], "boolean"),
        (pd.Series([True, None, False], dtype="boolean"), "boolean"),
        (objects(True, None, False), "boolean"),
        (["JFK", "LGA"] * 2, "category"),
        (pd.Series(["JFK", None, "JFK"], dtype="string"), "category"),
        (pd.Series([1, 2, 1, 2], dtype="category"), "category"),
        (objects("B1", 5, "B1", 5, None), "category"),
    ],
)
def test_what_a_column_holds_is_told_from_its_values(values: Any, dtype: str) -> None:
    assert kind(values) == dtype


def test_text_stays_text_even_if_all_of_it_looks_like_numbers() -> None:
    assert kind(["02139", "10001"] * 5) == "category"
    assert kind(["1.5", "2.5"] * 5) == "category"


def test_numbers_as_text_with_too_many_values_are_ignored_with_what_to_do() -> None:
    assert why_not([f"{place}.5" for place in range(50)]) == (
        "50 distinct values in 50 rows: numbers that are written as text; "
        "declare it as float under data.columns to use them as such"
    )


def test_text_with_too_many_values_for_its_rows_is_ignored_with_both_numbers() -> None:
    assert why_not([f"name {place % 312}" for place in range(400)]) == "312 distinct values in 400 rows: text or an id"


def test_text_needs_two_rows_for_each_value_and_at_most_two_hundred_values() -> None:
    assert kind([f"t{place % 200}" for place in range(400)]) == "category"
    assert kind([f"t{place % 200}" for place in range(399)]) is None
    assert kind([f"t{place % 201}" for place in range(40_200)]) is None


def test_rows_without_a_value_do_not_make_an_id_a_category() -> None:
    assert kind([*(f"id{place}" for place in range(10)), *[None] * 90]) is None


@pytest.mark.parametrize(
    "values", [[None, None], [np.nan, np.nan], pd.Series([pd.NA, pd.NA], dtype="Int64"), pd.to_datetime([None, None])]
)
def test_a_column_without_any_value_is_ignored(values: Any) -> None:
    assert why_not(values) == "no row has a value"


@pytest.mark.parametrize(
    ("values", "shown"), [([5, 5], "5"), (["JFK", "JFK"], "'JFK'"), ([True, True], "True"), ([0.5, 0.5], "0.5")]
)
def test_a_column_of_one_single_value_is_ignored(values: Any, shown: str) -> None:
    assert why_not(values) == f"it is {shown} in every row"


def test_a_single_value_that_is_sometimes_missing_tells_two_rows_apart() -> None:
    assert kind(["yes", None, "yes"]) == "category"
    assert kind([1.0, None]) == "float"


@pytest.mark.parametrize(
    "values",
    [
        pd.to_datetime(["2013-07-01", "2013-07-02"]),
        [date(2013, 7, 1), date(2013, 7, 2)],
        pd.to_datetime(["2013-07-01T00:00Z", None]),
    ],
)
def test_a_time_is_no_feature_unless_it_is_declared(values: Any) -> None:
    assert why_not(values) == "a time: declare it as datetime under data.columns to use it"
    assert inferred(values, columns={"x": {"dtype": "datetime"}}).columns[0] == Column("x", "datetime")


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ([["a"], ["b"]], "list"),
        ([{"a": 1}, {}], "dict"),
        ([(1,), (2,)], "tuple"),
        ([np.array([1]), np.array([2])], "ndarray"),
        ([b"a", b"b"], "bytes"),
        (["a", ["b"]], "list"),
        ([timedelta(1), timedelta(2)], "Timedelta|timedelta"),
        (pd.PeriodIndex(["2013-07", "2013-08"], freq="M"), "Period"),
        ([1 + 2j, 2j], "complex"),
    ],
)
def test_values_that_are_no_single_numbers_or_texts_are_ignored(values: Any, told: str) -> None:
    column = values if isinstance(values, pd.Index) else pd.Series(values)

    assert why_not(column).removeprefix("it holds values of the type ") in told.split("|")


def test_the_label_the_id_and_the_time_are_no_features_even_if_they_are_declared() -> None:
    table = pd.DataFrame({"late": [0, 1], "flight_id": [1, 2], "at": [3, 4], "x": [5, 6]})
    data = spec(
        id_column="flight_id",
        time_column="at",
        columns={"late": {"dtype": "integer"}, "flight_id": {"dtype": "integer"}},
    )

    features = infer_columns(table, data)

    assert features == Features((Column("x", "integer"),), ())


def test_what_the_split_groups_by_is_a_feature_only_where_it_is_declared() -> None:
    split = {"kind": "grouped", "by": "x"}

    assert "split groups by it" in why_not([1, 2], split=split)
    assert inferred([1, 2], split=split, columns={"x": {"dtype": "float"}}).columns[0] == Column("x", "float")


def test_what_is_declared_counts_and_not_what_is_there() -> None:
    declared = {"dtype": "float", "min": 0, "max": 10, "nullable": False}

    assert inferred([3, 3], columns={"x": declared}).columns[0] == Column("x", "float", False, 0.0, 10.0)
    assert inferred([5, 6], columns={"x": {"dtype": "category", "values": ["5", "6"]}}).columns[0] == Column(
        "x", "category", values=("5", "6")
    )


def test_a_column_that_is_declared_to_be_ignored_is_ignored() -> None:
    assert why_not([1, 2], columns={"x": {"dtype": "ignore"}}) == "declared so"
    assert inferred([1, 2], columns={"gone": {"dtype": "ignore"}}).ignored == ()


def test_a_declared_column_that_is_not_there_is_missed() -> None:
    with pytest.raises(MissingColumn, match=r"'y', which is declared under data\.columns"):
        inferred([1, 2], columns={"y": {"dtype": "float"}})


def test_a_column_of_saved_row_numbers_is_ignored() -> None:
    table = pd.DataFrame({"Unnamed: 0": [0, 1], "x": [5, 6], "late": [0, 1]})

    assert infer_columns(table, spec()).ignored == (("Unnamed: 0", "it has no name, as when row numbers are saved"),)


def test_a_table_of_which_nothing_is_left_says_why() -> None:
    with pytest.raises(NoFeatures, match=r"constant: it is 1 in every row. Declare the features"):
        infer_columns(pd.DataFrame({"constant": [1, 1], "late": [0, 1]}), spec())
    with pytest.raises(NoFeatures, match="there is no other column than the label"):
        infer_columns(pd.DataFrame({"late": [0, 1]}), spec())


def test_features_are_in_the_order_of_the_table() -> None:
    table = pd.DataFrame({"c": [1, 2], "late": [0, 1], "a": [1, 2], "b": [1, 2]})

    features = infer_columns(table, spec(columns={"b": {"dtype": "float"}, "a": {"dtype": "float"}}))

    assert [column.name for column in features.columns] == ["c", "a", "b"]


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 5),
    st.floats(),
    st.sampled_from(["a", "b", "1"]),
    st.just([1]),
    st.dates(),
    st.binary(max_size=2),
)


@settings(max_examples=60)
@given(st.lists(VALUES, min_size=1, max_size=10))
def test_whatever_a_column_holds_the_features_can_be_read_and_keep_their_promises(values: list[object]) -> None:
    table = pd.DataFrame({"x": pd.Series(values, dtype=object), "always": 1.0, "late": 1})

    features = infer_columns(table, spec(columns={"always": {"dtype": "float"}}))

    assert model_frame(table, features.columns).columns.tolist() == [column.name for column in features.columns]
    assert [v for v in check_schema(table, features.columns) if v.problem != "infinite"] == []
    assert infer_columns(table, spec(columns={"always": {"dtype": "float"}})) == features
