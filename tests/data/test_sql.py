import sqlite3
import traceback
from pathlib import Path

import pandas as pd
import pytest

from everfresh.data.sql import read_query
from everfresh.errors import SourceNotConfigured, SourceUnreachable, SourceUnreadable
from everfresh.spec.data import SqlSource

FLIGHTS = [("a", 1, 300.5, "AA", "2013-07-01 12:00"), ("b", None, None, None, "2013-07-02 12:00")]


@pytest.fixture
def database(tmp_path: Path) -> Path:
    file = tmp_path / "lake of flights.db"
    with sqlite3.connect(file) as connection:
        connection.execute("create table flights (id text, late integer, distance real, carrier text, at text)")
        connection.executemany("insert into flights values (?, ?, ?, ?, ?)", FLIGHTS)
    connection.close()
    return file


def ask(database: Path, query: str) -> pd.DataFrame:
    return read_query(SqlSource(kind="sql", query=query, url_from="LAKE"), {"LAKE": f"sqlite:///{database}"})


def test_a_query_is_a_table_whose_integers_stay_integers(database: Path) -> None:
    table = ask(database, "select * from flights")

    assert table["id"].tolist() == ["a", "b"]
    assert table.dtypes.astype("str").tolist() == ["str", "Int64", "float64", "str", "str"]


def test_percent_signs_and_colons_are_part_of_a_query(database: Path) -> None:
    table = ask(database, "select id, '10:30' as t, ':x' as c from flights where carrier like 'A%' and 5 % 2 = 1")

    assert table.to_dict("list") == {"id": ["a"], "t": ["10:30"], "c": [":x"]}


@pytest.mark.parametrize(
    "query",
    [
        "delete from flights",
        "insert into flights (id) values ('c')",
        "drop table flights",
        "update flights set late = 1",
    ],
)
def test_a_query_that_writes_is_refused(database: Path, query: str) -> None:
    with pytest.raises(SourceUnreadable, match="readonly database"):
        ask(database, query)

    assert len(ask(database, "select * from flights")) == 2


def test_a_database_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(
        SourceUnreadable, match="'the query over LAKE' could not be read: OperationalError: unable to open"
    ):
        ask(tmp_path / "typo.db", "select 1")

    assert not (tmp_path / "typo.db").exists()


def test_an_error_of_the_database_is_told_in_its_own_words(database: Path) -> None:
    with pytest.raises(SourceUnreadable) as caught:
        ask(database, "select * from fligths")

    assert str(caught.value) == "'the query over LAKE' could not be read: OperationalError: no such table: fligths."


def test_a_database_that_does_not_answer_may_do_so_later_and_a_bad_query_will_not_get_better(database: Path) -> None:
    nobody = {"LAKE": "postgresql://reader@127.0.0.1:1/lake"}
    with pytest.raises(SourceUnreachable, match="Connection refused") as unreachable:
        read_query(SqlSource(kind="sql", query="select 1", url_from="LAKE"), nobody)
    with pytest.raises(SourceUnreadable) as refused:
        ask(database, "select nothing from flights")

    assert unreachable.value.may_heal
    assert not refused.value.may_heal


def test_a_query_that_returns_nothing_is_told(database: Path) -> None:
    with pytest.raises(SourceUnreadable, match="does not return rows"):
        ask(database, " ")


def test_a_query_without_rows_is_an_empty_table(database: Path) -> None:
    assert list(ask(database, "select id, late from flights where 1 = 0").columns) == ["id", "late"]


@pytest.mark.parametrize("environment", [{}, {"LAKE": ""}])
def test_an_environment_without_the_url_names_the_variable(environment: dict[str, str]) -> None:
    with pytest.raises(SourceNotConfigured, match="The environment variable LAKE is not set"):
        read_query(SqlSource(kind="sql", query="select 1", url_from="LAKE"), environment)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://reader:hunter%212@127.0.0.1:1/lake",
        "postgresql://127.0.0.1:1/lake?user=reader&password=hunter%212",
        "hunter!2://reader:hunter!2@127.0.0.1/lake",
        "://reader:hunter!2@127.0.0.1/lake",
        "sqlite:///file:hunter!2?mode=ro&key=hunter!2&uri=true",
    ],
)
def test_a_password_is_in_no_error_and_in_no_traceback(url: str) -> None:
    with pytest.raises(SourceUnreadable) as caught:
        read_query(SqlSource(kind="sql", query="select 1", url_from="LAKE"), {"LAKE": url})

    told = "".join(traceback.format_exception(caught.value, chain=True)) + str(caught.value)
    assert "hunter" not in told
    assert "LAKE" in str(caught.value)
    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None
