"""`python -m everfresh.serving.supervisor --root DIR --port P`: keep an inference server running.

The server is a process of its own session: it goes on serving when the supervisor is killed, and the next supervisor
of the same root takes over what it finds there. Only small parts of the standard library are imported here; the
supervisor waits most of its life.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from everfresh.serving.presence import EXIT_TAKEN, ServerInfo, hold, is_alive, last_server, read_server

FIRST_DELAY_S = 0.2
LONGEST_DELAY_S = 5.0
# A server that ran so long was well: its end is the first of a new row.
STEADY_S = 10.0
POLL_S = 0.1
# What a server ends with that does not understand what it is told.
EXIT_USAGE = 2
# Longer than the server takes to stop by itself.
INSIST_AFTER_S = 13.0


@dataclass(frozen=True)
class Wanted:
    """The server that should run."""

    root: Path
    port: int
    host: str
    workers: int
    further: tuple[str, ...] = ()
    """What else the server is told, word by word; it is the server that understands it."""


@dataclass(frozen=True)
class Running:
    """A server that runs; `ended` gives its exit code once it has ended."""

    pid: int
    ended: Callable[[], int | None]


@dataclass
class Stop:
    """The signal that asked the supervisor to stop, once there was one."""

    signal: int | None = None

    def ask(self, number: int, frame: FrameType | None = None) -> None:
        """What the supervisor does on a signal: only note it."""
        self.signal = number


def main(arguments: Sequence[str] | None = None) -> int:
    """Supervise until told to stop; the exit code: 0, or 3 where the port or the root is taken."""
    wanted = _wanted(arguments)
    lock = hold(wanted.root / ".supervisor.lock")
    if lock is None:
        say(f"{wanted.root} has a supervisor already. Stop it first, or choose another --root.")
        return EXIT_TAKEN
    stop = Stop()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop.ask)
    with lock:
        return supervise(wanted, stop)


def supervise(wanted: Wanted, stop: Stop) -> int:
    """Keep the server running until `stop`, or until it ends by itself as it should, or cannot have its port."""
    delay_s = FIRST_DELAY_S
    while stop.signal is None:
        server = adopted(wanted) or started(wanted)
        began = time.monotonic()
        code = _watched(server, stop)
        if stop.signal is not None:
            break
        if code in (0, EXIT_USAGE) or (code == EXIT_TAKEN and read_server(wanted.root) is None):
            return code
        delay_s = FIRST_DELAY_S if time.monotonic() - began > STEADY_S else delay_s
        say(f"The inference server (process {server.pid}) ended with {code}; it is started again in {delay_s:g} s")
        _sleep(delay_s, stop)
        delay_s = min(2 * delay_s, LONGEST_DELAY_S)
    return 0


def adopted(wanted: Wanted) -> Running | None:
    """The server that runs on the root already; one that listens elsewhere than it should is stopped instead."""
    info = read_server(wanted.root)
    if info is None:
        return None
    if (info.host, info.port, info.workers) != (wanted.host, wanted.port, wanted.workers):
        say(f"The inference server on {info.url} (process {info.pid}) is stopped: it is not the one that is wanted")
        _end(Running(info.pid, lambda: _adopted_code(wanted.root, info)), signal.SIGTERM)
        return None
    say(f"The inference server on {info.url} (process {info.pid}) runs already and is taken over")
    return Running(info.pid, lambda: _adopted_code(wanted.root, info))


def started(wanted: Wanted) -> Running:
    """A new server."""
    command = [
        sys.executable, "-m", "everfresh.serving", "--root", str(wanted.root), "--port", str(wanted.port),
        "--host", wanted.host, "--workers", str(wanted.workers), *wanted.further,
    ]  # fmt: skip
    # A session of its own: neither Ctrl-C nor the end of a terminal reaches the server but through the supervisor.
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)  # noqa: S603 - our own words
    return Running(child.pid, child.poll)


def say(sentence: str) -> None:
    """One line on the standard error, as the server's log writes them."""
    # Not before there is something to say: it brings `logging` along.
    from everfresh.serving.logs import line_of

    with suppress(OSError):  # whoever read it may be gone
        sys.stderr.write(f"{line_of('everfresh.serving.supervisor', sentence)}\n")
        sys.stderr.flush()


def _watched(server: Running, stop: Stop) -> int:
    """The exit code of the server, when it has ended; the signal to stop is passed on to it."""
    while (code := server.ended()) is None:
        if stop.signal is not None:
            return _end(server, stop.signal)
        time.sleep(POLL_S)
    return code


def _end(server: Running, number: int) -> int:
    """Ask a server to end, and insist where it does not."""
    deadline = time.monotonic() + INSIST_AFTER_S
    _signal(server.pid, number)
    while (code := server.ended()) is None:
        if time.monotonic() > deadline:
            _signal(server.pid, signal.SIGKILL)
        time.sleep(POLL_S)
    return code


def _adopted_code(root: Path, info: ServerInfo) -> int | None:
    """The exit code of a server that is not our child, as far as one can know: ended well, it left no `server.json`."""
    if read_server(root) == info:
        return None
    return 0 if last_server(root) != info else -signal.SIGKILL


def _signal(pid: int, number: int) -> None:
    if is_alive(pid):
        os.kill(pid, number)


def _sleep(seconds: float, stop: Stop) -> None:
    deadline = time.monotonic() + seconds
    while stop.signal is None and time.monotonic() < deadline:
        time.sleep(POLL_S)


def _wanted(arguments: Sequence[str] | None) -> Wanted:
    parser = argparse.ArgumentParser(
        prog="python -m everfresh.serving.supervisor", description="Keep an everfresh inference server running."
    )
    parser.add_argument("--root", type=Path, required=True, help="where serving.json and the bundles lie")
    parser.add_argument("--port", type=int, required=True, help="the port to listen on")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: this machine only)")
    parser.add_argument("--workers", type=int, default=1, help="worker processes (default: 1)")
    options, further = parser.parse_known_args(arguments)
    return Wanted(options.root.resolve(), options.port, options.host, options.workers, tuple(further))


if __name__ == "__main__":
    sys.exit(main())
