"""Starting a Prefect server: the stack's own, or one for a single process where none runs."""

from __future__ import annotations

import atexit
import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from everfresh import process
from everfresh.errors import PrefectUnreachable
from everfresh.settings import Settings
from everfresh.stack.prefect_api import is_healthy
from everfresh.stack.services import PREFECT, prefect_service, temporary_name, temporary_prefect_service


def start_prefect(settings: Settings) -> None:
    """Let the stack's Prefect server run, or see that the one answers that the environment names.

    Raises:
        PrefectUnreachable: PREFECT_API_URL names a server that does not answer.
        StackError: this machine's cannot be started.
    """
    if settings.has_own_prefect:
        with _one_migration_at_a_time(settings):
            process.start(prefect_service(settings), settings.home)
    elif not is_healthy(settings.prefect_url):
        raise PrefectUnreachable(settings.prefect_url)


def reach_prefect(settings: Settings) -> str:
    """The API of a Prefect server that answers: the one that is named, or the stack's, or one for this process alone.

    The last one records what this process does in the stack's database, so that it is there when the stack is started.

    Raises:
        PrefectUnreachable: PREFECT_API_URL names a server that does not answer.
        StackError: a server of its own cannot be started.
    """
    named = settings.prefect_api_url
    if named is not None and is_healthy(named):
        return named
    if process.find(PREFECT, settings.home) is not None:
        start_prefect(settings)
        return settings.prefect_url
    if named is not None:
        raise PrefectUnreachable(named)
    return _reach_temporary_prefect(settings)


def _reach_temporary_prefect(settings: Settings) -> str:
    name = temporary_name(os.getpid())
    running = process.find(name, settings.home)
    port = process.free_port() if running is None else _port_of(running.cmdline())
    with _one_migration_at_a_time(settings):
        process.start(temporary_prefect_service(settings, port), settings.home)
    if running is None:
        atexit.register(process.stop, name, settings.home)
    return f"http://127.0.0.1:{port}/api"


def _port_of(command: Sequence[str]) -> int:
    return int(command[command.index("--port") + 1])


@contextmanager
def _one_migration_at_a_time(settings: Settings) -> Iterator[None]:
    """A fresh database is migrated by its first server; two first servers at once would break it."""
    lock = settings.home / "prefect.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
