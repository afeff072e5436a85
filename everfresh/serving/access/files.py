"""A file that is read again when it has changed, so that a server needs no restart."""

from __future__ import annotations

import logging
import os
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

logger = logging.getLogger(__name__)

LOOK_EVERY_S = 0.5

Content = TypeVar("Content")
Signature = tuple[int, ...]


class WatchedFile(Generic[Content]):
    """What a file says. Where it becomes unreadable, what it said last goes on; where it is deleted, it says nothing.

    Args:
        file: the file.
        read: makes of its bytes what it says, and raises ValueError where it cannot.
        empty: what it says when it is not there.
    """

    def __init__(self, file: Path, read: Callable[[bytes], Content], empty: Content) -> None:
        self._file = file
        self._read = read
        self._empty = empty
        self._signature: Signature | None = None
        self._looked_at = 0.0
        self.content = empty
        # A file that vanishes must not open what it closed.
        self.was_there = False
        self.look()

    def look(self) -> None:
        """Read it if it has changed, now."""
        self._looked_at = time.monotonic()
        try:
            signature = _signature(self._file.stat())
        except OSError:
            signature = None
        if signature != self._signature:
            self._signature = signature
            self._take(signature)

    def look_sometimes(self) -> None:
        """Read it if it has changed, and if nobody looked for a while: cheap enough for every request."""
        if time.monotonic() - self._looked_at > LOOK_EVERY_S:
            self.look()

    def _take(self, signature: Signature | None) -> None:
        if signature is None:
            logger.warning("%s is gone, and nothing that was in it is valid any more", self._file)
            self.content = self._empty
            return
        self.was_there = True
        try:
            self.content = self._read(read_guarded(self._file))
        except (OSError, ValueError) as error:
            logger.error("%s cannot be read, and what it said before stays: %s", self._file, error)
            return
        logger.info("Read %s", self._file)


def read_guarded(file: Path) -> bytes:
    """The bytes of a file that only its owner may write.

    Raises:
        OSError: it cannot be read.
        ValueError: others may write it, and let in whom they like.
    """
    with file.open("rb") as opened:
        if os.fstat(opened.fileno()).st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise ValueError(f"others than its owner may write it; `chmod go-w {file}` mends that")
        return opened.read()


def _signature(found: os.stat_result) -> Signature:
    return (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_mode)
