import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from everfresh.data.fingerprint import fingerprint

ROWS = st.lists(st.tuples(st.integers(-3, 3), st.sampled_from(["a", "b", None])), min_size=1, max_size=8)


def frame(rows: list[tuple[int, str | None]]) -> pd.DataFrame:
    return pd.DataFrame({"x": [x for x, _ in rows], "y": pd.Series([y for _, y in rows], dtype="str")})


@given(ROWS, st.randoms())
def test_the_order_of_rows_and_columns_and_the_index_do_not_matter(rows: list[tuple[int, str | None]], random) -> None:
    shuffled = random.sample(rows, len(rows))

    again = frame(shuffled)[["y", "x"]].set_index(pd.Index(range(5, 5 + len(rows))))

    assert fingerprint(frame(rows)) == fingerprint(again)


@given(ROWS, ROWS)
def test_other_rows_have_another_fingerprint(a: list[tuple[int, str | None]], b: list[tuple[int, str | None]]) -> None:
    same_rows = sorted(map(repr, a)) == sorted(map(repr, b))

    assert (fingerprint(frame(a)) == fingerprint(frame(b))) == same_rows


def test_a_renamed_column_and_another_type_change_it() -> None:
    table = pd.DataFrame({"x": [1, 2]})

    prints = {fingerprint(table), fingerprint(table.rename(columns={"x": "y"})), fingerprint(table.astype("float64"))}

    assert len(prints) == 3


def test_a_row_that_is_there_twice_is_not_the_row_once() -> None:
    assert fingerprint(frame([(1, "a"), (1, "a")])) != fingerprint(frame([(1, "a")]))


def test_it_is_the_same_tomorrow() -> None:
    assert fingerprint(pd.DataFrame({"x": [1, 2], "y": ["p", "q"]})) == "1a5ba2c406c5d0a0"


def test_lists_and_mixed_objects_have_one_too() -> None:
    tables = [pd.DataFrame({"x": pd.Series(x, dtype=object)}) for x in ([[1], [2]], [[1], [3]], [1, "1"], [True, "1"])]

    assert len({fingerprint(table) for table in tables}) == 4


def test_a_table_without_rows_has_one_too() -> None:
    assert len(fingerprint(pd.DataFrame({"x": []}))) == 16
