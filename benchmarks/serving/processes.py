"""A server under test: started, asked, measured with all of its processes, and stopped with all of them."""

from __future__ import annotations

import ctypes
import http.client
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.serving.environments import last_line

_CHILD_SUBREAPER = 36
_STOP_S = 15.0


class NotServing(Exception):
    """A server did not come up or answered wrongly; the message says why."""


@dataclass
class Server:
    """A server that runs, and the seconds from its start to its first good answer."""

    process: psutil.Process
    port: int
    start_s: float = 0.0

    def cpu_s(self) -> float:
        """The processor time of all its processes up to now."""
        return sum(_cpu_s(process) for process in _tree(self.process))

    def memory_mb(self) -> float:
        """The memory of all its processes; what several share is counted once (PSS)."""
        return sum(_pss(process) for process in _tree(self.process)) / 2**20

    def ask(self, path: str, headers: Mapping[str, str], body: bytes, timeout_s: float = 60.0) -> tuple[int, bytes]:
        """One request on a connection of its own: the status and the body of the answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout_s)
        try:
            connection.request("POST", path, body, dict(headers))
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def drain(self, patience_s: float = 60.0) -> None:
        """Wait until the server has done what nobody waits for any more: less than a tenth of a core for a while."""
        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline:
            before = self.cpu_s()
            time.sleep(0.5)
            if self.cpu_s() - before < 0.05:
                return


@contextmanager
def running(
    command: Sequence[str],
    environment: Mapping[str, str],
    *,
    port: int,
    log: Path,
    answers: Callable[[Server], bool],
    patience_s: float,
) -> Iterator[Server]:
    """Start a server, wait for its first good answer, and stop it with everything that it started.

    Raises:
        NotServing: it ended, or did not answer in time.
    """
    _adopt_orphans(True)
    others = set(psutil.Process().children(recursive=True))
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        began = time.monotonic()
        process = subprocess.Popen(
            command,
            env={**os.environ, **environment},
            cwd=log.parent,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    server = Server(psutil.Process(process.pid), port)
    try:
        while not _answers(server, answers):
            if process.poll() is not None:
                raise NotServing(f"it ended with {process.returncode}: {_said(log)}")
            if time.monotonic() - began > patience_s:
                raise NotServing(f"it gave no good answer within {patience_s:.0f} s: {_said(log)}")
            time.sleep(0.005)
        server.start_s = time.monotonic() - began
        yield server
    finally:
        _stop(process, others)
        _adopt_orphans(False)


def _answers(server: Server, answers: Callable[[Server], bool]) -> bool:
    try:
        return answers(server)
    except (OSError, http.client.HTTPException):
        return False


def _said(log: Path) -> str:
    return last_line(log.read_text(encoding="utf-8", errors="replace"))


def _adopt_orphans(adopt: bool) -> None:
    """Become the parent of what servers leave behind, so that it is found and ended, and nothing else is."""
    ctypes.CDLL(None, use_errno=True).prctl(_CHILD_SUBREAPER, int(adopt), 0, 0, 0)


def _stop(process: subprocess.Popen[bytes], others: set[psutil.Process]) -> None:
    """Ask the server to stop, then end whatever is left of it; orphans have become children of this process."""
    with suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(_STOP_S)
    deadline = time.monotonic() + _STOP_S
    while (left := set(psutil.Process().children(recursive=True)) - others) and time.monotonic() < deadline:
        for child in left:
            with suppress(psutil.NoSuchProcess):
                child.kill()
        psutil.wait_procs(list(left), timeout=0.5)
    process.wait()


def _tree(process: psutil.Process) -> list[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        return [process, *process.children(recursive=True)]
    return []


def _cpu_s(process: psutil.Process) -> float:
    with suppress(psutil.Error):
        times = process.cpu_times()
        # With those of children that have ended: a worker that was replaced has worked, too.
        return float(times.user + times.system + times.children_user + times.children_system)
    return 0.0


def _pss(process: psutil.Process) -> int:
    with suppress(psutil.Error):
        return int(process.memory_full_info().pss)
    return 0
