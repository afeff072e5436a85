from pathlib import Path

import pandas as pd
import pytest

from everfresh.data.sources import read_source, source_name
from everfresh.errors import ImportRefused, NoLabels, SourceNotFound, SourceUnreachable, SourceUnreadable
from everfresh.spec.data import CsvSource, ParquetSource, PythonSource, SqlSource


def from_python(folder: Path, text: str, path: str = "flights:load") -> pd.DataFrame:
    (folder / "flights.py").write_text(text)
    return read_source(PythonSource(kind="python", path=path), directory=folder, allowed=("sklearn.",), environment={})


def test_a_function_beside_the_spec_is_called_for_its_table(tmp_path: Path) -> None:
    table = from_python(tmp_path, "import pandas as pd\ndef load(): return pd.DataFrame({'x': [1, 2]})")

    assert table["x"].tolist() == [1, 2]


def test_a_function_may_import_its_neighbours_when_it_is_called(tmp_path: Path) -> None:
    (tmp_path / "rows_of_flights.py").write_text("import pandas as pd\nROWS = pd.DataFrame({'x': [3]})")

    table = from_python(tmp_path, "def load():\n    from rows_of_flights import ROWS\n    return ROWS")

    assert table["x"].tolist() == [3]


def test_whatever_a_function_raises_is_told_with_its_class_and_message(tmp_path: Path) -> None:
    with pytest.raises(SourceUnreadable, match=r"'flights:load' could not be read: KeyError: 'arr_delay'\.$"):
        from_python(tmp_path, "def load(): return {}['arr_delay']")


def test_a_function_that_finds_no_connection_may_find_one_later(tmp_path: Path) -> None:
    with pytest.raises(SourceUnreachable, match="ConnectionError: the lake is far") as caught:
        from_python(tmp_path, "def load(): raise ConnectionError('the lake is far')")

    assert caught.value.may_heal


def test_a_function_that_needs_parameters_is_told(tmp_path: Path) -> None:
    with pytest.raises(SourceUnreadable, match=r"TypeError.*missing 1 required positional argument: 'year'"):
        from_python(tmp_path, "def load(year): ...")


def test_an_error_of_our_own_comes_through_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(NoLabels):
        from_python(tmp_path, "from everfresh.errors import NoLabels\ndef load(): raise NoLabels('late', 2)")


@pytest.mark.parametrize(("value", "told"), [("None", "a NoneType"), ("[1]", "a list"), ("1", "an int")])
def test_a_function_that_returns_no_table_is_told(tmp_path: Path, value: str, told: str) -> None:
    with pytest.raises(SourceUnreadable, match=f"it returned {told} and not a pandas DataFrame"):
        from_python(tmp_path, f"def load(): return {value}")


def test_a_function_that_is_not_allowed_is_not_called(tmp_path: Path) -> None:
    with pytest.raises(ImportRefused):
        from_python(tmp_path, "", path="os:getcwd")


def csv(path: str) -> CsvSource:
    return CsvSource(kind="csv", path=path)


def test_a_relative_path_is_looked_for_beside_the_spec_and_then_at_the_root(tmp_path: Path) -> None:
    for folder in ("projects", "root"):
        (tmp_path / folder).mkdir()
    (tmp_path / "root" / "x.csv").write_text("x\nroot\n")
    environment = {"EVERFRESH_ROOT": str(tmp_path / "root")}

    def read() -> list[str]:
        table = read_source(csv("x.csv"), directory=tmp_path / "projects", allowed=(), environment=environment)
        return table["x"].tolist()

    assert read() == ["root"]
    (tmp_path / "projects" / "x.csv").write_text("x\nprojects\n")
    assert read() == ["projects"]


def test_without_a_root_the_current_folder_is_looked_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.csv").write_text("x\nhere\n")
    monkeypatch.chdir(tmp_path)

    assert read_source(csv("x.csv"), directory=tmp_path / "p", allowed=(), environment={})["x"].tolist() == ["here"]


def test_a_table_that_is_nowhere_is_told_with_all_places(tmp_path: Path) -> None:
    environment = {"EVERFRESH_ROOT": str(tmp_path / "root")}

    with pytest.raises(SourceNotFound) as caught:
        read_source(csv("data/*.csv"), directory=tmp_path / "projects", allowed=(), environment=environment)

    assert "No table at 'data/*.csv'" in str(caught.value)
    assert f"{tmp_path / 'projects'} and {tmp_path / 'root'}" in str(caught.value)


def test_errors_call_a_table_by_what_the_spec_says() -> None:
    assert source_name(ParquetSource(kind="parquet", path="data/*.parquet")) == "data/*.parquet"
    assert source_name(PythonSource(kind="python", path="flights:load")) == "flights:load"
    assert source_name(SqlSource(kind="sql", query="select 1", url_from="LAKE_URL")) == "the query over LAKE_URL"
