"""Making few files of many: the rows of each version of an hour, in the order of time.

Killed at any point, no row is lost and none is there twice: a merged file is whole and on the disk before it has its
name, it says which files it stands for, and only then are they removed. See `folders`.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from everfresh.data.inference_log.folders import REPLACES, LogFile, replaced_by
from everfresh.data.inference_log.names import new_stem, written_at
from everfresh.data.inference_log.reading import read_file
from everfresh.data.inference_log.writing import put_file
from everfresh.errors import SourceUnreadable

logger = logging.getLogger(__name__)

MOST_ROWS = 100_000
"""Rows of a merged file: some fifty megabytes of memory while it is made, in a server that has other work."""

GROUP_ROWS = 25_000
"""Rows that readers can pass over within a file."""


@dataclass(frozen=True)
class Merged:
    """A file that stands for others."""

    path: Path
    replaces: tuple[str, ...]
    rows: int


def tidy(folder: Path) -> None:
    """Remove files that a merged one stands for: whoever made it may have been killed before it could."""
    names = [file.path.name for file in _listed(folder)]
    merged = [name for name in names if _is_merged(name)]
    leftovers = replaced_by(folder, merged) & set(names) if len(names) > len(merged) or len(merged) > 1 else frozenset()
    _remove(folder, leftovers)


def merge_files(
    folder: Path, files: Sequence[LogFile], *, fewest: int = 2, breathe: Callable[[], None] = lambda: None
) -> Iterator[Merged]:
    """Replace files of a folder by few, one group after the other; stop between two of them whenever you like.

    Whoever calls it is the only one that merges in this folder.

    Args:
        folder: where they are, and where the merged files come to be.
        files: which; files of other versions or columns never come into one, and a damaged file is left alone.
        fewest: smaller groups are left as they are.
        breathe: called after each file that was read, and may raise.
    """
    for group in _groups(files):
        if len(group) >= fewest:
            yield from _merge(folder, group, fewest, breathe)


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _groups(files: Sequence[LogFile]) -> Iterator[list[LogFile]]:
    """Files of one version, in the order in which they were written, up to the most rows of a merged one."""
    by_version = sorted(files, key=lambda file: (_version(file), file.path.name))
    for _, members in groupby(by_version, key=_version):
        group: list[LogFile] = []
        rows = 0
        for file in members:
            more = _rows(file)
            if group and rows + more > MOST_ROWS:
                yield group
                group, rows = [], 0
            group.append(file)
            rows += more
        yield group


def _merge(folder: Path, group: Sequence[LogFile], fewest: int, breathe: Callable[[], None]) -> Iterator[Merged]:
    tables: list[tuple[LogFile, pa.Table]] = []
    for file in group:
        try:
            tables.append((file, read_file(file)))
        except (FileNotFoundError, SourceUnreadable) as error:
            logger.warning("%s is left as it is: %s", file.path, error)
        breathe()
    alike: dict[tuple[tuple[str, str], ...], list[tuple[LogFile, pa.Table]]] = {}
    for file, table in tables:
        alike.setdefault(tuple((field.name, str(field.type)) for field in table.schema), []).append((file, table))
    for members in alike.values():
        if len(members) >= fewest:
            yield _replace(folder, [file for file, _ in members], pa.concat_tables([table for _, table in members]))


def _replace(folder: Path, files: Sequence[LogFile], table: pa.Table) -> Merged:
    names = [file.path.name for file in files]
    time_column = "time" if "time" in table.column_names else "received"
    table = table.sort_by(time_column)
    texts = [field.name for field in table.schema if field.type == pa.string() and field.name != "id"]
    options = {"compression": "zstd", "use_dictionary": texts, "row_group_size": GROUP_ROWS, "store_schema": False}
    stem = new_stem(table, time_column, written_at(names[-1]))
    file = put_file(folder, table, stem, options, merged=True, says={REPLACES: json.dumps(names)})
    sync_folder(folder)  # or a power cut could undo the new name, and not the removals
    _remove(folder, names)
    return Merged(file, tuple(names), table.num_rows)


def _remove(folder: Path, names: Sequence[str] | frozenset[str]) -> None:
    for name in names:
        (folder / name).unlink(missing_ok=True)


def _listed(folder: Path) -> list[LogFile]:
    return [LogFile(path, None) for path in folder.glob("*.parquet") if not path.name.startswith(".")]


def _is_merged(name: str) -> bool:
    return name.endswith(".all.parquet")


def _version(file: LogFile) -> int:
    return -1 if file.facts is None or file.facts.version is None else file.facts.version


def _rows(file: LogFile) -> int:
    if file.facts is not None:
        return file.facts.rows
    try:
        return int(pq.read_metadata(file.path).num_rows)
    except (OSError, pa.ArrowException):
        return 0
