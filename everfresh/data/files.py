"""One table of one or many files."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote

import pandas as pd

from everfresh.data.csv_files import read_csv_files
from everfresh.data.locations import find_files
from everfresh.data.parquet_files import read_parquet_file
from everfresh.data.plain_types import plain_types
from everfresh.errors import SourceUnreadable
from everfresh.spec.data import CsvSource, ParquetSource

_INTEGER = r"-?(0|[1-9]\d{0,17})(\.0)?"
_BOOLEANS = {"true": True, "false": False}


def read_files(
    source: CsvSource | ParquetSource,
    *,
    folders: Sequence[Path],
    environment: Mapping[str, str],
    texts: Collection[str] = (),
) -> pd.DataFrame:
    """The files of `source`, one below the other in the order of their paths.

    Folders such as `year=2013` that a pattern has found are columns, too.

    Args:
        source: a path or a pattern.
        folders: where a relative path is looked for.
        environment: how S3 and Azure are reached.
        texts: columns of CSV files that hold text, even if it looks like numbers.

    Raises:
        SourceNotFound: there is no such file.
        SourceUnreadable: one of them is no table, or has other columns than the first one.
        EmptyTable: a CSV file does not even have a header.
        DuplicateColumns: the header of a CSV file has a name twice.
    """
    files = find_files(source.path, folders=folders, environment=environment)
    if isinstance(source, CsvSource):
        parts = read_csv_files(files, separator=source.separator, texts=texts)
    else:
        parts = [read_parquet_file(files, path) for path in files.paths]
    parts = [_with_folder_keys(part, path, files.fixed) for part, path in zip(parts, files.paths, strict=True)]
    for part, path in zip(parts[1:], files.paths[1:], strict=True):
        if differences := " and ".join(_differences(parts[0], part)):
            raise SourceUnreadable(path, f"beside {files.paths[0]!r}, it {differences}")
    table = _joined(parts)
    return plain_types(table.assign(**{name: _codes(table[name]) for name in table.columns if name in texts}))


def _with_folder_keys(part: pd.DataFrame, path: str, fixed: str) -> pd.DataFrame:
    keys = dict(folder.split("=", 1) for folder in path[len(fixed) :].split("/")[:-1] if "=" in folder)
    return part.assign(
        **{
            name: pd.array([unquote(value)] * len(part), dtype="string")
            for name, value in keys.items()
            if name not in part
        }
    )


def _differences(first: pd.DataFrame, part: pd.DataFrame) -> Iterator[str]:
    for verb, names in (("lacks", set(first) - set(part)), ("has", set(part) - set(first))):
        if names:
            yield f"{verb} {', '.join(sorted(map(repr, names)))}"


def _joined(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """The rows of all parts. A column without a value has no type, and must not change that of another part."""
    typed = [part.loc[:, part.notna().any()] for part in parts if len(part)]
    if len(typed) < 2:
        return next((part for part in parts if len(part)), parts[0])
    return pd.concat(typed, ignore_index=True).reindex(columns=parts[0].columns)


def _codes(values: pd.Series) -> pd.Series:
    """Text that was asked for is integers or booleans if every value is one: 5 and 5.0 are the same category.

    Not so 05, and not 1.10, which is a version and another one than 1.1.
    """
    if not isinstance(values.dtype, pd.StringDtype):
        return values
    if values.str.fullmatch(_INTEGER).fillna(True).all():
        return pd.to_numeric(values.str.removesuffix(".0")).astype("Int64")
    if values.str.lower().isin(_BOOLEANS).where(values.notna(), True).all():
        return values.str.lower().map(_BOOLEANS).astype("boolean")
    return values
