import time
from datetime import date
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from everfresh.data.columns import Column, ColumnDtype
from everfresh.data.frames import model_frame
from everfresh.data.schema_check import Violation, check_schema
from everfresh.errors import DataError


def told(values: Any, column: Column) -> list[str]:
    return [str(violation) for violation in check_schema(pd.DataFrame({column.name: values}), [column])]


def objects(*values: object) -> pd.Series:
    return pd.Series(list(values), dtype=object)


def test_a_violation_reads_as_a_sentence() -> None:
    distances = pd.Series(np.full(1000, 300.0))
    distances[[17, 18, 500, 999]] = [-5.0, -1.0, -0.5, -7.0]

    assert told(distances, Column("distance", "float", minimum=0)) == [
        "distance: 4 of 1,000 values are below 0, such as -5.0 (row 17), -1.0 (row 18), -0.5 (row 500)"
    ]


def test_a_table_that_keeps_its_promises_has_no_violations() -> None:
    table = pd.DataFrame({"f": [0.0, 10.0, None], "c": ["a", "b", None], "b": [True, False, None]})
    columns = [
        Column("f", "float", minimum=0, maximum=10),
        Column("c", "category", values=("a", "b")),
        Column("b", "boolean"),
    ]

    assert check_schema(table, columns) == ()
    assert check_schema(model_frame(table, columns), columns) == ()


@pytest.mark.parametrize(
    ("values", "column", "sentence"),
    [
        ([1.0, 11.5], Column("x", "float", maximum=10), "x: 1 of 2 values is above 10, such as 11.5 (row 1)"),
        (
            [1, -(10**6)],
            Column("x", "integer", minimum=-0.5),
            "x: 1 of 2 values is below -0.5, such as -1000000 (row 1)",
        ),
        (
            ["a", "z"],
            Column("x", "category", values=("a", "b")),
            "x: 1 of 2 values is not among 'a', 'b', such as 'z' (row 1)",
        ),
        ([5.0, 6.0], Column("x", "category", values=("5",)), "x: 1 of 2 values is not among '5', such as 6.0 (row 1)"),
        ([1.0, None, None], Column("x", "float", nullable=False), "x: 2 of 3 values are missing, such as row 1, row 2"),
        (["a", None], Column("x", "category", nullable=False), "x: 1 of 2 values is missing, such as row 1"),
        ([1.0, np.inf], Column("x", "float"), "x: 1 of 2 values is infinite, such as inf (row 1)"),
        ([1.0, 2.5], Column("x", "integer"), "x: 1 of 2 values is no integer, such as 2.5 (row 1)"),
        (
            [1, 2**53],
            Column("x", "integer"),
            "x: 1 of 2 values is too large to be told from its neighbour in float64, such as 9007199254740992 (row 1)",
        ),
        ([1.0, 2.0], Column("x", "boolean"), "x: 1 of 2 values is no boolean, such as 2.0 (row 1)"),
        (["yes"], Column("x", "boolean"), "x: 1 of 1 value is no boolean, such as 'yes' (row 0)"),
        (["3 miles", "5"], Column("x", "float"), "x: 1 of 2 values is no number, such as '3 miles' (row 0)"),
        (
            [date(2013, 7, 1)],
            Column("x", "integer"),
            "x: 1 of 1 value is no number, such as datetime.date(2013, 7, 1) (row 0)",
        ),
        (["2013-07-01", "soon"], Column("x", "datetime"), "x: 1 of 2 values is no time, such as 'soon' (row 1)"),
        ([["a"], "b"], Column("x", "category"), "x: 1 of 2 values is no single value, such as ['a'] (row 0)"),
    ],
)
def test_each_promise_that_is_broken_is_told(values: Any, column: Column, sentence: str) -> None:
    assert told(values, column) == [sentence]


def test_a_column_that_is_gone_is_told_with_its_likely_new_name() -> None:
    table = pd.DataFrame({"distance_km": [1.0, 2.0], "hour": [3, 4]})

    assert [str(violation) for violation in check_schema(table, [Column("distance", "float")])] == [
        "distance: 2 of 2 values are gone with their column; did you mean 'distance_km'?"
    ]
    assert told([1, 2], Column("x", "integer")) == []
    assert check_schema(table, [Column("carrier", "category")])[0].problem == "gone with their column"


def test_a_column_that_is_there_twice_is_told() -> None:
    table = pd.DataFrame([[1, 2]], columns=["x", "x"])

    assert [violation.problem for violation in check_schema(table, [Column("x", "integer")])] == ["there 2 times"]


def test_long_lists_and_long_values_are_cut() -> None:
    values = ("a", "b", "c", "d", "e", "f", "g")

    (sentence,) = told(["x" * 500], Column("x", "category", values=values))

    assert (
        sentence == f"x: 1 of 1 value is not among 'a', 'b', 'c', 'd', 'e' and 2 more, such as '{'x' * 39}... (row 0)"
    )


def test_several_broken_promises_of_one_column_are_each_told() -> None:
    problems = [
        v.problem
        for v in check_schema(
            pd.DataFrame({"x": objects(-1, 2.5, None, "many", 1e300, np.inf)}),
            [Column("x", "integer", nullable=False, minimum=0, maximum=10)],
        )
    ]

    assert problems == [
        "missing",
        "no number",
        "infinite",
        "no integer",
        "too large to be told from its neighbour in float64",
        "below 0",
        "above 10",
    ]


def test_times_may_come_as_text_as_times_and_as_seconds() -> None:
    for values in (["2013-07-01T12:00Z"], pd.to_datetime(["2013-07-01"]), [1372680000.0], [date(2013, 7, 1)]):
        assert told(values, Column("x", "datetime", nullable=False)) == []


def test_numbers_are_fine_as_categories_and_as_text() -> None:
    assert told([5, 6], Column("x", "category")) == []
    assert told(["5", "6.5"], Column("x", "float")) == []
    assert told([5.0, None], Column("x", "category", values=("5", "5.0"))) == []


def test_a_table_without_rows_breaks_no_promise() -> None:
    columns = [Column("x", "integer", nullable=False), Column("c", "category", nullable=False, values=("a",))]

    assert check_schema(pd.DataFrame({"x": [], "c": []}), columns) == ()


UGLY = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=3),
    st.dates(),
    st.datetimes(),
    st.timedeltas(),
    st.binary(max_size=2),
    st.decimals(allow_nan=False),  # pandas itself cannot look at a signalling NaN
    st.just(Decimal("NaN")),
    st.complex_numbers(),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=1), st.integers(), max_size=1),
    st.tuples(st.integers()),
    st.just(pd.NA),
    st.just(pd.NaT),
    st.just(Decimal("Infinity")),
    st.just(object),
    st.builds(np.array, st.lists(st.floats(), max_size=2)),
)
DTYPES: list[ColumnDtype] = ["float", "integer", "boolean", "category", "datetime"]


@settings(max_examples=150)
@given(values=st.lists(UGLY, max_size=6), dtype=st.sampled_from(DTYPES), strict=st.booleans())
def test_whatever_a_column_holds_the_check_answers(values: list[object], dtype: ColumnDtype, strict: bool) -> None:
    limits: dict[str, Any] = {"values": ("a",)} if dtype == "category" else {"minimum": 0, "maximum": 1}
    column = Column("x", dtype, nullable=not strict, **(limits if strict else {}))
    table = pd.DataFrame({"x": pd.Series(values, dtype=object)})

    violations = check_schema(table, [column])

    assert all(0 < violation.count <= len(values) and str(violation) for violation in violations)
    if not violations:
        model_frame(table, [column])


@settings(max_examples=50)
@given(values=st.lists(UGLY, min_size=1, max_size=6), dtype=st.sampled_from(DTYPES))
def test_what_cannot_be_read_is_always_told(values: list[object], dtype: ColumnDtype) -> None:
    column, table = Column("x", dtype), pd.DataFrame({"x": pd.Series(values, dtype=object)})

    try:
        model_frame(table, [column])
    except DataError:
        assert check_schema(table, [column])


def test_three_hundred_thousand_rows_take_well_under_a_second() -> None:
    rows, rng = 300_000, np.random.default_rng(0)
    carriers = pd.Series(rng.choice(["AA", "UA", "DL"], rows), dtype="str")
    table = pd.DataFrame(
        {f"n{place}": rng.normal(size=rows) for place in range(12)} | {f"c{place}": carriers for place in range(3)}
    )
    columns = [Column(f"n{place}", "float", nullable=False, minimum=-9, maximum=9) for place in range(12)]
    columns += [Column(f"c{place}", "category", values=("AA", "UA", "DL")) for place in range(3)]

    start = time.process_time()
    violations = check_schema(table, columns)

    assert violations == ()
    assert time.process_time() - start < 1.0


def test_a_violation_keeps_its_facts() -> None:
    (violation,) = check_schema(pd.DataFrame({"x": [-1.0, 3.0]}), [Column("x", "float", minimum=0)])

    assert violation == Violation("x", "below 0", 1, 2, ("-1.0 (row 0)",))
