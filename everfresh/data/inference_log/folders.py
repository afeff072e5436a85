"""Which files of a log count at one moment, while others write, merge and remove them.

A merged file names in its footer the files that it stands for. They are removed after it has its name, so for a while,
or after a crash until somebody tidies up, both are there; then the merged file counts.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from everfresh.data.inference_log.names import ENDING, FileFacts, facts_in, hour_of

REPLACES = "everfresh.replaces"


@dataclass(frozen=True)
class LogFile:
    """A file on this machine, and what its name says; None where that is nothing."""

    path: Path
    facts: FileFacts | None


def hour_folders(folder: Path) -> list[Path]:
    """The folders of a log that hold files, in the order of their hours: an earlier everfresh put all into `folder`."""
    hours = [hour for date in _folders(folder, "date=") for hour in _folders(date, "hour=")]
    return [folder, *(hour for hour in hours if hour_of(f"{hour.parent.name}/{hour.name}") is not None)]


def files_of(folder: Path) -> list[LogFile]:
    """The files of one folder that count now, oldest first; none where there is no such folder.

    A folder is not read in one instant. But files are removed only after the one that stands for them is
    there: where the same merged files are there before and after, nothing that counts can have gone unseen.
    """
    while True:
        seen = _names(folder)
        merged = {name for name in seen if _is_merged(name)}
        counting = seen - replaced_by(folder, merged) if len(seen) > len(merged) or len(merged) > 1 else seen
        if {name for name in _names(folder) if _is_merged(name)} == merged:
            # Their names begin with the time.
            return [LogFile(folder / name, facts_in(name)) for name in sorted(counting)]


def replaced_by(folder: Path, merged: Iterable[str]) -> frozenset[str]:
    """The names of the files that merged ones stand for; of a merged file that is gone, none."""
    found: set[str] = set()
    for name in merged:
        try:
            says = pq.read_metadata(folder / name).metadata or {}
        except FileNotFoundError:
            continue
        except (OSError, pa.ArrowException):
            continue  # whoever reads its rows says what is wrong with it
        found.update(json.loads(says.get(REPLACES.encode(), b"[]")))
    return frozenset(found)


def _names(folder: Path) -> set[str]:
    try:
        return {entry.name for entry in folder.iterdir() if _is_table(entry.name)}
    except (FileNotFoundError, NotADirectoryError):
        return set()


def _folders(folder: Path, beginning: str) -> Sequence[Path]:
    try:
        return sorted(entry for entry in folder.iterdir() if entry.name.startswith(beginning))
    except (FileNotFoundError, NotADirectoryError):
        return ()


def _is_table(name: str) -> bool:
    return name.endswith(ENDING) and not name.startswith(".")


def _is_merged(name: str) -> bool:
    return name.endswith(f".all{ENDING}")
