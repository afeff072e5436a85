"""Reading CSV so that nothing is renamed, cut or guessed in silence."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pandas as pd

from everfresh.data.locations import Files, opened, unreadable
from everfresh.errors import DuplicateColumns, EmptyTable, SourceUnreadable

_SEPARATORS = ";\t|,"
_COMPRESSIONS = {"gz": "gzip", "bz2": "bz2", "xz": "xz", "zst": "zstd", "zip": "zip"}


def read_csv_files(files: Files, *, separator: str, texts: Collection[str]) -> list[pd.DataFrame]:
    """Each file as a table, with the nullable types of pandas: they tell integers with gaps from floats.

    A column that one file takes for text and another one for numbers is text in all of them: a column of codes may
    look like numbers in one file only, and then 007 would be 7 there.

    Args:
        files: the files; they may be compressed.
        separator: what stands between two values.
        texts: columns that are text, even if they look like numbers.

    Raises:
        SourceUnreadable: one of them is no such file.
        EmptyTable: one of them does not even have a header.
        DuplicateColumns: a header has a name twice.
    """
    parts = [_read(files, path, separator, texts) for path in files.paths]
    mixed = {name for part in parts for name in part.columns if _is_text(part[name])}
    return [
        _read(files, path, separator, {*texts, *mixed}) if _takes_for_numbers(part, mixed) else part
        for part, path in zip(parts, files.paths, strict=True)
    ]


def _takes_for_numbers(part: pd.DataFrame, names: Collection[str]) -> bool:
    return any(not _is_text(part[name]) and part[name].notna().any() for name in part.columns if name in names)


def _is_text(values: pd.Series) -> bool:
    return isinstance(values.dtype, pd.StringDtype)


def _read(files: Files, path: str, separator: str, texts: Collection[str]) -> pd.DataFrame:
    with unreadable(path):
        header = _header(files, path, separator)
        with opened(files, path) as content:
            frame = pd.read_csv(
                content,
                sep=separator,
                compression=_compression(path),
                dtype={name: "string" for name in header if name in texts},
                dtype_backend="numpy_nullable",
                low_memory=False,  # types are told from the whole file and not from parts of it
            )
    if not isinstance(frame.index, pd.RangeIndex):
        raise SourceUnreadable(path, f"its rows have more values than its header has names, {len(header)}")
    return frame


def _header(files: Files, path: str, separator: str) -> list[str]:
    """The names in the first line: pandas would rename a second `x` to `x.1`."""
    with opened(files, path) as content:
        try:
            line = pd.read_csv(
                content, sep=separator, compression=_compression(path), header=None, nrows=1, dtype="str"
            )
        except pd.errors.EmptyDataError as error:
            raise EmptyTable(path) from error
    names: list[str] = line.iloc[0].dropna().tolist()
    other = next((mark for mark in _SEPARATORS if len(names) == 1 and mark in names[0]), None)
    if other:
        raise SourceUnreadable(path, f"its header is one name, {names[0]!r}; set data.source.separator to {other!r}")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise DuplicateColumns(path, twice)
    return names


def _compression(path: str) -> Any:
    return _COMPRESSIONS.get(path.rpartition(".")[2].lower())
