"""A process of this machine that outlives whoever started it, and can be found again by anyone.

A file in `home/processes/` holds its pid and start time, so that a pid which the system gave to somebody else
is never taken for it, and never killed.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from everfresh.errors import NotReady, PortTaken, ProcessDied

_POLL_SECONDS = 0.05
_GRACE_SECONDS = 15.0


@dataclass(frozen=True)
class Service:
    """A long-running process and how to tell that it is ready.

    Attributes:
        name: also the name of its process file and of its log.
        command: the words that start it.
        environment: what is added to this process's environment.
        port: where it listens on 127.0.0.1, or None.
        port_remedy: what to do when the port is taken, as a sentence.
        is_ready: asked again and again until it says yes.
        ready_seconds: how long that may take.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    port: int | None
    port_remedy: str
    is_ready: Callable[[], bool]
    ready_seconds: float = 120.0


def start(service: Service, home: Path) -> int:
    """The pid of the running service; it is started only where it is not running yet.

    Raises:
        PortTaken: another program listens on its port.
        ProcessDied: it ended before it was ready.
        NotReady: it did not become ready in time; it is stopped again.
    """
    running = find(service.name, home)
    if running is None:
        if service.port is not None and not port_is_free(service.port):
            raise PortTaken(service.name, service.port, service.port_remedy)
        running = _spawn(service, home)
    _await_ready(service, running, home)
    return running.pid


def find(name: str, home: Path) -> psutil.Process | None:
    """The running process of that name, or None."""
    try:
        record = json.loads(_file(name, home).read_text())
        process = psutil.Process(record["pid"])
        same = abs(process.create_time() - record["created"]) < 1.0
    except (OSError, ValueError, KeyError, psutil.Error):
        return None
    return process if same and process.status() != psutil.STATUS_ZOMBIE else None


def stop(name: str, home: Path) -> bool:
    """Stop the process and all that it started; says whether there was one. Asking twice is quiet."""
    process = find(name, home)
    if process is not None:
        _stop_tree(process)
    _file(name, home).unlink(missing_ok=True)
    return process is not None


def running_names(home: Path) -> tuple[str, ...]:
    """The names of all services of this home that are running."""
    files = sorted((home / "processes").glob("*.json"))
    return tuple(file.stem for file in files if find(file.stem, home) is not None)


def port_is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a server could listen there now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # A port whose last connections are still being closed by the system is free for a server.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def log_file(name: str, home: Path) -> Path:
    """Where the service's output goes."""
    return home / "logs" / f"{name}.log"


def _file(name: str, home: Path) -> Path:
    return home / "processes" / f"{name}.json"


def _spawn(service: Service, home: Path) -> psutil.Process:
    log = log_file(service.name, home)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        child = subprocess.Popen(  # noqa: S603 - our own commands, no shell
            list(service.command),
            env={**os.environ, **service.environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            # A session of its own: Ctrl-C in the terminal and the end of the starter do not reach it.
            start_new_session=True,
        )
    process = psutil.Process(child.pid)
    record = {"pid": child.pid, "created": process.create_time(), "command": list(service.command)}
    file = _file(service.name, home)
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_suffix(".tmp")
    temporary.write_text(json.dumps(record))
    temporary.replace(file)
    return process


def _await_ready(service: Service, process: psutil.Process, home: Path) -> None:
    deadline = time.monotonic() + service.ready_seconds
    while not service.is_ready():
        if find(service.name, home) is None:
            _file(service.name, home).unlink(missing_ok=True)
            raise ProcessDied(service.name, log_file(service.name, home), _last_line(log_file(service.name, home)))
        if time.monotonic() > deadline:
            _stop_tree(process)
            _file(service.name, home).unlink(missing_ok=True)
            raise NotReady(service.name, service.ready_seconds, log_file(service.name, home))
        time.sleep(_POLL_SECONDS)


def _stop_tree(process: psutil.Process) -> None:
    """First ask, then insist; children are remembered before the parent goes, for they would be lost with it."""
    try:
        family = [*process.children(recursive=True), process]
        process.send_signal(signal.SIGTERM)
    except psutil.NoSuchProcess:
        return
    _, alive = psutil.wait_procs(family, timeout=_GRACE_SECONDS)
    for member in alive:
        try:
            member.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(alive, timeout=5)


def _last_line(log: Path) -> str:
    try:
        lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    except OSError:
        return ""
    return lines[-1][:300] if lines else ""
