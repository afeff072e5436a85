"""Directories that are whole or not there: written beside their place, and renamed into it."""

from __future__ import annotations

import errno
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_LEFT_BEHIND_AFTER_SECONDS = 3600


@contextmanager
def beside(directory: Path) -> Iterator[Path]:
    """A new directory beside `directory`, on the same disk; it is gone when the block ends, unless it was renamed."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    _sweep(directory)
    temporary = _namebeside(directory)
    temporary.mkdir()
    try:
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def took_place(temporary: Path, directory: Path) -> bool:
    """Rename `temporary` to `directory`, unless something is already there."""
    try:
        temporary.rename(directory)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            return False
        raise
    return True


def set_aside(directory: Path) -> None:
    """A directory cannot be renamed onto a filled one: the old one steps aside first, and is deleted."""
    old = _namebeside(directory)
    with suppress(FileNotFoundError):  # another process was faster
        directory.rename(old)
    shutil.rmtree(old, ignore_errors=True)


def _sweep(directory: Path) -> None:
    """Delete what a process that was killed while it wrote `directory` left beside it."""
    for path in directory.parent.iterdir():
        with suppress(FileNotFoundError):  # another process was faster
            if (
                path.name.startswith(_mark(directory))
                and time.time() - path.stat().st_mtime > _LEFT_BEHIND_AFTER_SECONDS
            ):
                shutil.rmtree(path, ignore_errors=True)


def _namebeside(directory: Path) -> Path:
    return directory.with_name(f"{_mark(directory)}{uuid.uuid4().hex}")


def _mark(directory: Path) -> str:
    return f".{directory.name}.unfinished-"
