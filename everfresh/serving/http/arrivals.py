"""Bodies that are arriving, and the end of those that take too long.

A timer for each request would cost more than reading most bodies does; one look a second at all of them costs nothing.
"""

from __future__ import annotations

import asyncio
import time
from itertools import count
from typing import Any

LOOK_EVERY_S = 0.25


class Arrivals:
    """The tasks that wait for a body. Used on the event loop only.

    Args:
        most_seconds: how long a body may take; it is given up at the next look after that.
    """

    def __init__(self, most_seconds: float) -> None:
        self._most_seconds = most_seconds
        self._numbers = count()
        self._waiting: dict[int, tuple[float, asyncio.Task[Any] | None]] = {}
        self._given_up: set[int] = set()
        self._is_looking = False

    def begin(self) -> int:
        """The current task begins to wait for a body; the key by which it says so again at the end."""
        key = next(self._numbers)
        self._waiting[key] = (time.monotonic(), asyncio.current_task())
        if not self._is_looking:
            self._is_looking = True
            asyncio.get_running_loop().call_later(LOOK_EVERY_S, self._look)
        return key

    def end(self, key: int) -> None:
        """It does not wait any more."""
        del self._waiting[key]
        self._given_up.discard(key)

    def was_given_up(self, key: int) -> bool:
        """Whether it was cancelled because its body took too long, and not by somebody else."""
        return key in self._given_up

    def _look(self) -> None:
        oldest_allowed = time.monotonic() - self._most_seconds
        for key, (since, task) in self._waiting.items():
            if since >= oldest_allowed:
                break  # they are in the order in which they began
            if task is not None and key not in self._given_up:
                self._given_up.add(key)
                task.cancel()
        self._is_looking = bool(self._waiting)
        if self._is_looking:
            asyncio.get_running_loop().call_later(LOOK_EVERY_S, self._look)
