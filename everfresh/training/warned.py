"""Warnings as part of a result, also when candidates are fitted in threads side by side."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# warnings.catch_warnings saves and restores the state of the whole process: two threads that leave it in the order in
# which they came lose each other's warnings and leave filters behind. Here the first thread in saves the state, the
# last one out restores it, and in between each warning goes to the thread that raised it.
_lock = threading.Lock()
_heard = threading.local()
_listeners = 0
_saved = warnings.catch_warnings()


@contextmanager
def heard_warnings() -> Iterator[list[str]]:
    """The warnings of this thread while the block runs, each once, as "ConvergenceWarning: lbfgs failed to converge".

    Nothing is printed or raised as an error meanwhile. Threads that are not in such a block warn as ever, but for the
    filters, which belong to the process. A block does not lie within another of the same thread.
    """
    messages: list[str] = []
    _enter()
    _heard.messages = messages
    try:
        yield messages
    finally:
        del _heard.messages
        _leave()


def _enter() -> None:
    global _listeners, _saved
    with _lock:
        if _listeners == 0:
            _saved = warnings.catch_warnings()
            _saved.__enter__()
            warnings.simplefilter("always")
            warnings.showwarning = _dispatch(warnings.showwarning)
        _listeners += 1


def _leave() -> None:
    global _listeners
    with _lock:
        _listeners -= 1
        if _listeners == 0:
            _saved.__exit__(None, None, None)


def _dispatch(elsewhere: Any) -> Any:
    def show(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
        messages: list[str] | None = getattr(_heard, "messages", None)
        if messages is None:
            elsewhere(message, category, *where, **more)
            return
        first_line = str(message).strip().partition("\n")[0]
        text = f"{category.__name__}: {first_line}"
        if text not in messages:
            messages.append(text)

    return show
