"""Where a project's table is read from: files, a database or a function."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import pandas as pd

from everfresh.data.imports import import_object, importable
from everfresh.errors import EverfreshError, SourceUnreachable, SourceUnreadable
from everfresh.spec.data import CsvSource, ParquetSource, PythonSource, Source, SqlSource


def read_source(
    source: Source,
    *,
    directory: Path,
    allowed: Sequence[str],
    environment: Mapping[str, str] = os.environ,
    texts: Collection[str] = (),
) -> pd.DataFrame:
    """The table that `source` names, as it is there.

    Args:
        source: a section of the spec.
        directory: the spec's folder: relative paths are looked for there first, then in EVERFRESH_ROOT or the current
            folder; and so are modules.
        allowed: prefixes of import paths that a python source may name beside its own folder.
        environment: holds a database's URL and says how S3 and Azure are reached.
        texts: columns that are text even if a CSV file's look like numbers, as 007 does.

    Raises:
        DataError: there is no table, or it cannot be read; the class says which.
        ImportRefused: the function of a python source may not be imported.
        ImportFailed: it is not there.
        MissingExtra: a driver is not installed.
    """
    match source:
        case CsvSource() | ParquetSource():
            from everfresh.data.files import read_files

            folders = (directory, Path(environment.get("EVERFRESH_ROOT") or "."))
            return read_files(source, folders=folders, environment=environment, texts=texts)
        case SqlSource():
            from everfresh.data.sql import read_query

            return read_query(source, environment)
        case PythonSource():
            return _call(source.path, directory, allowed)


def source_name(source: Source) -> str:
    """What errors call the table."""
    return f"the query over {source.url_from}" if isinstance(source, SqlSource) else source.path


def _call(path: str, directory: Path, allowed: Sequence[str]) -> pd.DataFrame:
    function = import_object(path, directory=directory, allowed=allowed)
    try:
        with importable(directory):
            frame = function()
    except EverfreshError:
        raise
    except Exception as error:  # the project's own code may raise anything
        kind = SourceUnreachable if isinstance(error, OSError) else SourceUnreadable
        raise kind(path, f"{type(error).__name__}: {error}".rstrip(".")) from error
    if not isinstance(frame, pd.DataFrame):
        raise SourceUnreadable(path, f"it returned {_article(type(frame).__name__)} and not a pandas DataFrame")
    return frame


def _article(name: str) -> str:
    return f"an {name}" if name[0].lower() in "aeiou" else f"a {name}"
