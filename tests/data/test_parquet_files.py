from datetime import date
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from everfresh.data.files import read_files
from everfresh.errors import SourceUnreadable
from everfresh.spec.data import ParquetSource


def read(folder: Path, pattern: str = "*.parquet") -> pd.DataFrame:
    return read_files(ParquetSource(kind="parquet", path=pattern), folders=[folder], environment={})


def test_types_are_those_of_the_schema_also_where_values_are_missing(tmp_path: Path) -> None:
    big = 2**53 + 1
    table = pa.table({
        "i": [1, 2], "gaps": [big, None], "b": [True, False], "b_gaps": [True, None], "f": [1.0, None],
        "t": ["x", None], "u8": pa.array([1, 2], pa.uint8()), "day": [date(2013, 7, 1), None],
        "at": pa.array([0, 1], pa.timestamp("us", "UTC")), "price": [Decimal("1.50"), None],
        "c": pa.array(["a", "b"]).dictionary_encode(),
    })  # fmt: skip
    pq.write_table(table, tmp_path / "x.parquet")

    read_back = read(tmp_path)

    assert read_back.dtypes.astype("str").to_dict() == {
        "i": "int64", "gaps": "Int64", "b": "bool", "b_gaps": "boolean", "f": "float64", "t": "str", "u8": "uint8",
        "day": "datetime64[ms]", "at": "datetime64[us, UTC]", "price": "float64", "c": "category",
    }  # fmt: skip
    assert read_back["gaps"][0] == big


def test_a_named_index_is_a_column_and_an_unnamed_one_is_no_data(tmp_path: Path) -> None:
    frame = pd.DataFrame({"x": [1, 2]}, index=pd.Index(["a", "b"], name="flight_id"))
    frame.to_parquet(tmp_path / "named.parquet")
    frame.set_axis([7, 9]).to_parquet(tmp_path / "unnamed.parquet")

    assert sorted(read(tmp_path, "named.parquet")) == ["flight_id", "x"]
    assert read(tmp_path, "unnamed.parquet").to_dict("list") == {"x": [1, 2]}


def test_integers_with_and_without_gaps_are_one_column(tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": [1, 2]}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"x": [3, None]}), tmp_path / "b.parquet")

    assert read(tmp_path)["x"].dtype == "Int64"


def test_categories_of_two_files_are_one_column(tmp_path: Path) -> None:
    for name, values in (("a", ["x", "y"]), ("b", ["z"])):
        pq.write_table(pa.table({"x": pa.array(values).dictionary_encode()}), tmp_path / f"{name}.parquet")

    assert read(tmp_path)["x"].tolist() == ["x", "y", "z"]


def test_a_file_that_is_no_parquet_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.parquet").write_bytes(b"not parquet at all")

    with pytest.raises(SourceUnreadable, match=r"x\.parquet' could not be read: ArrowInvalid: .*[Pp]arquet"):
        read(tmp_path)
