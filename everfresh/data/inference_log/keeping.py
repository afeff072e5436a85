"""Keeping a log in order: files of closed hours are merged, shipped if the log goes elsewhere, and removed in the end.

One process does it at a time, and whatever it is in the middle of when it is killed, the next one completes.
"""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from everfresh.data.inference_log.folders import LogFile, files_of, hour_folders
from everfresh.data.inference_log.merging import MOST_ROWS, merge_files, sync_folder, tidy
from everfresh.data.inference_log.names import hour_of, written_at
from everfresh.data.inference_log.policy import LogPolicy
from everfresh.data.inference_log.remote import RemoteLog

KINDS = ("log", "shadow", "labels")
CLOSED_AFTER = timedelta(minutes=2)
"""How long after an hour its last rows are surely written."""
SHIP_AFTER = timedelta(minutes=5)
"""How long rows stay on this machine alone, where the log goes elsewhere."""
MANY_FILES = 120
"""So many small files of one version are merged before their hour is over: a check must read the last hour, too."""

_HOUR = timedelta(hours=1)
_SETTLED = timedelta(seconds=10)
_ABANDONED = timedelta(minutes=10)
_EXPIRED = ".expired-"


class Stopped(Exception):
    """Whoever keeps the log has been asked to stop."""


@dataclass(frozen=True)
class Kept:
    """What one round over a model's log has done."""

    merged: int = 0
    shipped: int = 0
    expired: int = 0


@dataclass(frozen=True)
class Round:
    """How to go over a log.

    Attributes:
        now: the time.
        policy: how long files stay; None where that is not known, and then none is removed.
        remote: where files are shipped to.
        everything: whether to look at all hours, and not at the two latest alone.
        ship_all: whether to ship what would otherwise wait for more: the process ends.
        breathe: called between short steps; it may wait, and may raise `Stopped`.
    """

    now: datetime
    policy: LogPolicy | None = None
    remote: RemoteLog | None = None
    everything: bool = True
    ship_all: bool = False
    breathe: Callable[[], None] = lambda: None


def keep(root: Path, name: str, how: Round) -> Kept | None:
    """Go over the log of a model once; None where another process does, or where there is no log.

    Raises:
        OSError: the disk, or the place that files are shipped to, does not do what it should. Go over it again later.
        Stopped: by `how.breathe`; nothing is left half-done that the next round does not complete.
    """
    with _alone(root / name) as is_alone:
        if not is_alone:
            return None
        total = Kept()
        for kind in KINDS:
            total = _sum(total, _keep_kind(root, name, kind, how))
        return total


def models_in(root: Path) -> list[str]:
    """The models that have a log, or labels."""
    try:
        return sorted(folder.name for folder in root.iterdir() if folder.is_dir() and not folder.name.startswith("."))
    except FileNotFoundError:
        return []


def _keep_kind(root: Path, name: str, kind: str, how: Round) -> Kept:
    log = root / name / kind
    kept = Kept()
    if how.everything and how.policy is not None:
        kept = replace(kept, expired=_expire(log, how.now - how.policy.keep))
        if how.remote is not None:
            how.remote.remove_before(name, kind, (how.now - how.policy.keep).date())
    hours = hour_folders(log) if how.everything else _latest(log, how.now)
    for folder in hours:
        hour = None if folder == log else hour_of(f"{folder.parent.name}/{folder.name}")
        # Nothing writes into the flat folder of an earlier everfresh any more.
        is_closed = hour is None or how.now >= hour + _HOUR + CLOSED_AFTER
        kept = _sum(kept, _keep_folder(folder, is_closed, how))
        if how.remote is not None:
            place = "" if hour is None else f"{folder.parent.name}/{folder.name}"
            kept = _sum(kept, _ship(folder, how.remote, (name, kind, place), how.breathe))
            if is_closed and hour is not None and how.now >= hour + 2 * _HOUR:
                _remove_empty(folder)
        how.breathe()
    return kept


def _keep_folder(folder: Path, is_closed: bool, how: Round) -> Kept:
    _sweep(folder, how.now)
    tidy(folder)
    takes_all = is_closed or how.ship_all
    files = [file for file in files_of(folder) if takes_all or _age(file, how.now) >= _SETTLED]
    chosen = _due(files, is_closed, how)
    fewest = 1 if how.remote is not None and chosen else 2
    merged = sum(1 for _ in merge_files(folder, chosen, fewest=fewest, breathe=how.breathe))
    return Kept(merged=merged)


def _due(files: list[LogFile], is_closed: bool, how: Round) -> list[LogFile]:
    """The files that it is time to merge.

    Where the log goes elsewhere, a merged file may be on its way already: it is never merged again.
    """
    small = [file for file in files if file.facts is None or not file.facts.is_merged]
    if how.remote is not None:
        is_due = is_closed or how.ship_all or any(_age(file, how.now) >= SHIP_AFTER for file in small)
        return small if is_due else []
    if is_closed:
        return [file for file in files if file.facts is None or file.facts.rows <= MOST_ROWS // 2]
    by_version: dict[int | None, list[LogFile]] = {}
    for file in small:
        by_version.setdefault(file.facts.version if file.facts else None, []).append(file)
    return [file for members in by_version.values() if len(members) >= MANY_FILES for file in members]


def _ship(folder: Path, remote: RemoteLog, place: tuple[str, str, str], breathe: Callable[[], None]) -> Kept:
    """Move merged files to where the log goes. A file leaves this machine when it is there, and not before."""
    shipped = 0
    ready = [file for file in files_of(folder) if file.facts is not None and file.facts.is_merged]
    if ready:
        sync_folder(folder)  # the files that they stand for must not come back when they are gone from here
    for file in ready:
        remote.ship(file.path, *place)
        file.path.unlink(missing_ok=True)
        shipped += 1
        breathe()
    return Kept(shipped=shipped)


def _expire(log: Path, before: datetime) -> int:
    """Remove the hours that ended before a moment, each as a whole; how many there were."""
    for folder in [*log.glob(f"date=*/{_EXPIRED}*")]:
        shutil.rmtree(folder, ignore_errors=True)
    expired = 0
    for folder in hour_folders(log):
        hour = hour_of(f"{folder.parent.name}/{folder.name}")
        if folder == log:
            expired += _expire_flat(log, before)
        elif hour is not None and hour + _HOUR <= before:
            gone = folder.with_name(f"{_EXPIRED}{folder.name}")
            folder.rename(gone)  # at once for whoever reads
            shutil.rmtree(gone, ignore_errors=True)
            _remove_empty(folder.parent)
            expired += 1
    return expired


def _expire_flat(log: Path, before: datetime) -> int:
    old = [file for file in files_of(log) if (at := written_at(file.path.name)) is not None and at < before]
    for file in old:
        file.path.unlink(missing_ok=True)
    return len(old)


def _sweep(folder: Path, now: datetime) -> None:
    """Remove what writers left behind that were killed in the middle of a file."""
    for leftover in folder.glob(".*.tmp"):
        try:
            age = now - datetime.fromtimestamp(leftover.stat().st_mtime, UTC)
        except FileNotFoundError:
            continue
        if age >= _ABANDONED:
            leftover.unlink(missing_ok=True)


def _latest(log: Path, now: datetime) -> list[Path]:
    hours = (now - _HOUR, now)
    folders = [log / f"{hour.astimezone(UTC):date=%Y-%m-%d}" / f"{hour.astimezone(UTC):hour=%H}" for hour in hours]
    return [folder for folder in folders if folder.is_dir()]


def _age(file: LogFile, now: datetime) -> timedelta:
    written = written_at(file.path.name)
    return timedelta.max if written is None else now - written


def _remove_empty(folder: Path) -> None:
    try:
        folder.rmdir()
        if folder.name.startswith("hour="):
            folder.parent.rmdir()
    except OSError:  # it is not empty, and that is fine
        return


def _sum(one: Kept, other: Kept) -> Kept:
    return Kept(one.merged + other.merged, one.shipped + other.shipped, one.expired + other.expired)


@contextmanager
def _alone(folder: Path) -> Iterator[bool]:
    """Whether this process may keep a log now. The folder is not made: it may have been deleted on purpose."""
    try:
        lock = (folder / ".keeping.lock").open("a")
    except (FileNotFoundError, NotADirectoryError):
        yield False
        return
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
