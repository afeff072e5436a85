import gzip
import zipfile
from pathlib import Path

import pandas as pd
import pytest

from everfresh.data.files import read_files
from everfresh.errors import DuplicateColumns, EmptyTable, SourceUnreadable
from everfresh.spec.data import CsvSource


def read(folder: Path, content: bytes, name: str = "x.csv", separator: str = ",") -> pd.DataFrame:
    (folder / name).write_bytes(content)
    source = CsvSource(kind="csv", path=name, separator=separator)
    return read_files(source, folders=[folder], environment={})


def test_types_are_told_from_the_whole_file(tmp_path: Path) -> None:
    table = read(tmp_path, b"i,gaps,f,whole,b,t,at\n1,1,1.5,1.0,True,x,2013-07-01\n2,,2,2.0,False,,2013-07-02\n")

    assert table.dtypes.astype("str").to_dict() == {
        "i": "int64", "gaps": "Int64", "f": "float64", "whole": "float64", "b": "bool", "t": "str", "at": "str"
    }  # fmt: skip


def test_text_that_begins_late_does_not_mix_types(tmp_path: Path) -> None:
    table = read(tmp_path, b"gate\n" + b"7\n" * 300_000 + b"B1\n")

    assert table["gate"].dtype == "str"
    assert set(table["gate"]) == {"7", "B1"}


def test_a_byte_order_mark_is_no_part_of_a_name(tmp_path: Path) -> None:
    for header in (b"x,y", b'"x",y'):
        assert list(read(tmp_path, b"\xef\xbb\xbf" + header + b"\n1,2\n").columns) == ["x", "y"]


def test_a_file_in_another_encoding_is_named_with_the_byte(tmp_path: Path) -> None:
    with pytest.raises(SourceUnreadable, match=r"x\.csv' could not be read: it is not UTF-8.*0xfc; save it as UTF-8"):
        read(tmp_path, "city\nMünchen\n".encode("latin-1"))
    with pytest.raises(SourceUnreadable, match="it is not UTF-8"):
        read(tmp_path, "x\n1\n".encode("utf-16"))


@pytest.mark.parametrize(
    ("separator", "content"), [(";", b"x;y\n1;a\n"), ("\t", b"x\ty\n1\ta\n"), ("|", b"x|y\n1|a\n")]
)
def test_another_separator_is_taken_from_the_spec_and_suggested(tmp_path: Path, separator: str, content: bytes) -> None:
    assert read(tmp_path, content, separator=separator).to_dict("list") == {"x": [1], "y": ["a"]}
    with pytest.raises(SourceUnreadable) as caught:
        read(tmp_path, content)
    assert f"set data.source.separator to {separator!r}" in str(caught.value)


def test_a_table_of_one_column_is_a_table(tmp_path: Path) -> None:
    assert read(tmp_path, b"x\n1\n").to_dict("list") == {"x": [1]}


def test_two_columns_of_one_name_are_refused_and_not_renamed(tmp_path: Path) -> None:
    with pytest.raises(DuplicateColumns, match="more than one column named 'x'"):
        read(tmp_path, b"x,y,x\n1,2,3\n")


def test_rows_that_are_longer_than_the_header_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceUnreadable, match="more values than its header has names, 2"):
        read(tmp_path, b"x,y\n1,2,3\n4,5,6\n")
    with pytest.raises(SourceUnreadable, match="Expected 2 fields in line 3, saw 3"):
        read(tmp_path, b"x,y\n1,2\n4,5,6\n")


def test_a_file_without_a_header_is_empty(tmp_path: Path) -> None:
    with pytest.raises(EmptyTable):
        read(tmp_path, b"")
    with pytest.raises(EmptyTable):
        read(tmp_path, b"\n\n")


def test_a_quote_that_is_never_closed_is_told(tmp_path: Path) -> None:
    with pytest.raises(SourceUnreadable, match="ParserError"):
        read(tmp_path, b'x,y\n1,"a\n2,b\n')


def test_quoted_separators_and_line_breaks_are_part_of_a_value(tmp_path: Path) -> None:
    assert read(tmp_path, b'x,y\r\n1,"a,\nb"\r\n')["y"].tolist() == ["a,\nb"]


def test_a_column_without_a_name_is_called_unnamed(tmp_path: Path) -> None:
    assert list(read(tmp_path, b",x\n0,5\n").columns) == ["Unnamed: 0", "x"]


def test_compressed_files_are_read_by_their_ending(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "made.zip", "w") as archive:
        archive.writestr("x.csv", "x,y\n1,a\n")

    assert read(tmp_path, gzip.compress(b"x,y\n1,a\n"), "x.csv.gz").to_dict("list") == {"x": [1], "y": ["a"]}
    assert read(tmp_path, (tmp_path / "made.zip").read_bytes(), "x.csv.zip").to_dict("list") == {"x": [1], "y": ["a"]}
    with pytest.raises(SourceUnreadable, match="BadGzipFile"):
        read(tmp_path, b"x,y\n1,a\n", "not.csv.gz")
