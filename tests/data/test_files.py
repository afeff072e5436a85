from collections.abc import Collection
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from everfresh.data.files import read_files
from everfresh.errors import SourceNotFound, SourceUnreadable
from everfresh.spec.data import CsvSource, ParquetSource


def read(folder: Path, pattern: str, texts: Collection[str] = ()) -> pd.DataFrame:
    kind = ParquetSource(kind="parquet", path=pattern) if "parquet" in pattern else CsvSource(kind="csv", path=pattern)
    return read_files(kind, folders=[folder], environment={}, texts=texts)


def write(folder: Path, name: str, text: str) -> None:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def types(table: pd.DataFrame) -> dict[str, str]:
    return {str(name): str(dtype) for name, dtype in table.dtypes.items()}


def test_files_stand_below_each_other_in_the_order_of_their_names(tmp_path: Path) -> None:
    write(tmp_path, "flights-02.csv", "x,y\n3,c\n")
    write(tmp_path, "flights-01.csv", "y,x\na,1\nb,2\n")
    write(tmp_path, "weather.csv", "z\n9\n")

    table = read(tmp_path, "flights-*.csv")

    assert table.to_dict("list") == {"y": ["a", "b", "c"], "x": [1, 2, 3]}
    assert table.index.tolist() == [0, 1, 2]


def test_two_stars_go_through_folders(tmp_path: Path) -> None:
    write(tmp_path, "lake/2013/a.csv", "x\n1\n")
    write(tmp_path, "lake/2014/deep/b.csv", "x\n2\n")

    assert read(tmp_path, "lake/**/*.csv")["x"].tolist() == [1, 2]
    assert read(tmp_path, "lake/*/*.csv")["x"].tolist() == [1]


def test_an_absolute_path_and_one_from_the_home_folder_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "x.csv", "x\n1\n")
    monkeypatch.setenv("HOME", str(tmp_path))

    for path in (str(tmp_path / "x.csv"), str(tmp_path / "*.csv"), "~/x.csv"):
        assert read(tmp_path / "elsewhere", path)["x"].tolist() == [1]


def test_a_name_with_a_bracket_in_it_is_a_name(tmp_path: Path) -> None:
    write(tmp_path, "flights[1].csv", "x\n1\n")

    assert read(tmp_path, "flights[1].csv")["x"].tolist() == [1]


def test_files_that_lie_beside_a_table_are_no_part_of_it(tmp_path: Path) -> None:
    write(tmp_path, "flights.csv", "x\n1\n")
    for name in ("._flights.csv", "_SUCCESS.csv", ".hidden.csv"):
        write(tmp_path, name, "no table")
    (tmp_path / "folder.csv").mkdir()

    assert read(tmp_path, "*.csv")["x"].tolist() == [1]


def test_a_folder_is_no_table_and_the_error_says_what_to_write(tmp_path: Path) -> None:
    (tmp_path / "flights").mkdir()

    with pytest.raises(SourceUnreadable, match=r"it is a folder; name its files with a pattern, as in flights/\*"):
        read(tmp_path, "flights")


def test_an_absolute_path_that_leads_nowhere_says_where_it_looked(tmp_path: Path) -> None:
    with pytest.raises(SourceNotFound, match=f"Looked in {tmp_path}"):
        read(Path("elsewhere"), str(tmp_path / "x.csv"))


def test_files_whose_columns_differ_are_refused_with_the_difference(tmp_path: Path) -> None:
    write(tmp_path, "a.csv", "distance,hour,x\n1,2,3\n")
    write(tmp_path, "b.csv", "dist,x\n1,2\n")

    with pytest.raises(SourceUnreadable) as caught:
        read(tmp_path, "*.csv")

    assert f"{tmp_path / 'b.csv'}" in str(caught.value)
    assert "it lacks 'distance', 'hour' and has 'dist'" in str(caught.value)


def test_folders_that_name_a_value_are_a_column(tmp_path: Path) -> None:
    write(tmp_path, "lake/year=2013/place=New%20York/a.csv", "x\n1\n2\n")
    write(tmp_path, "lake/year=2014/place=Newark/b.csv", "x\n3\n")

    table = read(tmp_path, "lake/year=*/*/*.csv")

    assert table["year"].tolist() == ["2013", "2013", "2014"]
    assert table["place"].tolist() == ["New York", "New York", "Newark"]
    assert "year" not in read(tmp_path, "lake/year=2013/place=New%20York/a.csv")


def test_a_column_that_one_file_takes_for_numbers_is_text_in_all(tmp_path: Path) -> None:
    write(tmp_path, "a.csv", "gate,x\n007,1\n012,2\n")
    write(tmp_path, "b.csv", "gate,x\nB1,3\n,4\n")

    table = read(tmp_path, "*.csv")

    assert table["gate"].fillna("-").tolist() == ["007", "012", "B1", "-"]
    assert types(table) == {"gate": "str", "x": "int64"}


def test_a_column_without_a_value_in_one_file_keeps_its_type(tmp_path: Path) -> None:
    write(tmp_path, "a.csv", "n,t,b,nothing\n1,a,True,\n")
    write(tmp_path, "b.csv", "n,t,b,nothing\n,,,\n")

    assert types(read(tmp_path, "*.csv")) == {"n": "Int64", "t": "str", "b": "boolean", "nothing": "float64"}


def test_a_file_without_rows_changes_nothing(tmp_path: Path) -> None:
    write(tmp_path, "a.csv", "n,t\n")
    write(tmp_path, "b.csv", "n,t\n1,x\n")

    table = read(tmp_path, "*.csv")

    assert types(table) == {"n": "int64", "t": "str"}
    assert len(table) == 1
    assert list(read(tmp_path, "a.csv").columns) == ["n", "t"]


def test_integers_in_one_file_and_floats_in_another_are_floats(tmp_path: Path) -> None:
    write(tmp_path, "a.csv", "n\n1\n\n")
    write(tmp_path, "b.csv", "n\n2.5\n")

    assert types(read(tmp_path, "*.csv")) == {"n": "float64"}


@pytest.mark.parametrize(
    ("written", "read_as"),
    [
        (["007", "12"], ["007", "12"]),
        (["5", "7"], [5, 7]),
        (["5.0", "7", ""], [5, 7, pd.NA]),
        (["1.10", "1.1"], ["1.10", "1.1"]),
        (["True", "false"], [True, False]),
        (["True", "maybe"], ["True", "maybe"]),
        (["9" * 30, "1"], ["9" * 30, "1"]),
    ],
)
def test_text_that_was_asked_for_is_text_where_a_number_would_lose_something(
    tmp_path: Path, written: list[str], read_as: list[object]
) -> None:
    write(tmp_path, "x.csv", "\n".join(["code,x", *(f"{value},1" for value in written)]))

    table = read(tmp_path, "x.csv", texts=["code", "not there"])

    assert [None if value is pd.NA else value for value in table["code"]] == [
        None if value is pd.NA else value for value in read_as
    ]


@settings(max_examples=25)
@given(
    rows=st.lists(
        st.tuples(st.integers(), st.text(st.characters(codec="utf-8", exclude_characters="\0\r"))), min_size=1
    )
)
def test_what_pandas_writes_is_read_back(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[int, str]]) -> None:
    folder = tmp_path_factory.mktemp("round")
    table = pd.DataFrame({"n": [n for n, _ in rows], "text": [f"t{text}" for _, text in rows]})
    table.to_csv(folder / "x.csv", index=False)
    table.to_parquet(folder / "x.parquet") if table["n"].dtype == "int64" else None

    assert read(folder, "x.csv")["text"].tolist() == table["text"].tolist()
    if table["n"].dtype == "int64":
        assert read(folder, "x.csv")["n"].tolist() == table["n"].tolist()
        assert read(folder, "x.parquet").to_dict("list") == table.to_dict("list")
