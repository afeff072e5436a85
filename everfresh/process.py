"""A process of this machine that outlives whoever started it, and can be found again by anyone.

A file in `home/processes/` holds its pid and start time, so that a pid which the system gave to somebody else
is never taken for it, and never killed. It leads a process group of its own, so that what it started is found
even where the process itself was killed.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from everfresh.errors import NotReady, PortTaken, ProcessDied

_POLL_SECONDS = 0.05
_GRACE_SECONDS = 20.0
_ORPHAN_SECONDS = 5.0
_CLOCK_SECONDS = 1.0
_LOG_TAIL_BYTES = 65_536


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


@dataclass(frozen=True)
class _Record:
    """What the process file says: which process it was, and where in the log its own lines begin."""

    pid: int
    created: float
    command: Sequence[str]
    log_begins_at: int


def start(service: Service, home: Path) -> int:
    """The pid of the running service; it is started only where it is not running yet.

    Raises:
        PortTaken: another program listens on its port.
        ProcessDied: it ended before it was ready, or could not be started at all.
        NotReady: it did not become ready in time; it is stopped again.
    """
    running = find(service.name, home)
    if running is not None:
        # One that was told to end a moment ago is still there, and must not be mistaken for one that is to stay.
        with suppress(ProcessDied):
            return _await_ready(service, running, home)
    return _await_ready(service, _found_or_spawned(service, home), home)


def find(name: str, home: Path) -> psutil.Process | None:
    """The running process of that name, or None."""
    record = _read_record(name, home)
    process = _process(record) if record is not None else None
    return None if process is None or _has_ended(process) else process


def stop(name: str, home: Path) -> bool:
    """Stop the process and all that it started; says whether there was anything. Asking twice is quiet."""
    with _one_at_a_time(name, home):
        leader = find(name, home)
        others = _left_behind(_read_record(name, home)) if leader is None else _started_by(leader)
        _end(leader, others)
        _file(name, home).unlink(missing_ok=True)
    return leader is not None or bool(others)


def running_names(home: Path) -> tuple[str, ...]:
    """The names of all services of this home that are running."""
    files = sorted((home / "processes").glob("*.json"))
    return tuple(file.stem for file in files if find(file.stem, home) is not None)


def free_port() -> int:
    """A port on 127.0.0.1 that nobody listens on now; whoever wants it takes it at once."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


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


def _read_record(name: str, home: Path) -> _Record | None:
    try:
        return _Record(**json.loads(_file(name, home).read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


def _write_record(name: str, home: Path, record: _Record) -> None:
    file = _file(name, home)
    temporary = file.with_suffix(f".{os.getpid()}")
    temporary.write_text(json.dumps(asdict(record)))
    temporary.replace(file)


def _process(record: _Record) -> psutil.Process | None:
    """The recorded process, dead or alive; None where it is gone or its pid is somebody else's by now."""
    try:
        process = psutil.Process(record.pid)
        return process if abs(process.create_time() - record.created) < _CLOCK_SECONDS else None
    except psutil.Error:
        return None


def _has_ended(process: psutil.Process) -> bool:
    """Whether nothing is left of it but its number, which is given back where it is ours to give."""
    try:
        if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
            return False
        os.waitpid(process.pid, os.WNOHANG)
    except (psutil.Error, OSError):  # it is gone by now, or the child of another process, which has to do it
        return True
    return True


def _found_or_spawned(service: Service, home: Path) -> psutil.Process:
    with _one_at_a_time(service.name, home):
        running = find(service.name, home)
        if running is not None:
            return running
        # What a killed process left behind may still hold the port.
        _end(None, _left_behind(_read_record(service.name, home)))
        if service.port is not None and not port_is_free(service.port):
            raise PortTaken(service.name, service.port, service.port_remedy)
        return _spawn(service, home)


def _spawn(service: Service, home: Path) -> psutil.Process:
    log = log_file(service.name, home)
    log.parent.mkdir(parents=True, exist_ok=True)
    try:
        with log.open("ab") as output:
            begins_at = output.tell()
            child = subprocess.Popen(  # noqa: S603 - our own commands, no shell
                list(service.command),
                env={**os.environ, **service.environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # A session of its own: Ctrl-C in the terminal and the end of the starter do not reach it.
                start_new_session=True,
            )
    except OSError as error:
        raise ProcessDied(service.name, log, str(error)) from error
    process = psutil.Process(child.pid)
    _write_record(service.name, home, _Record(child.pid, process.create_time(), list(service.command), begins_at))
    # It is meant to outlive this process, which Popen would otherwise warn of when it goes.
    child.returncode = 0
    return process


def _await_ready(service: Service, process: psutil.Process, home: Path) -> int:
    """The pid of the process, once it is ready."""
    log = log_file(service.name, home)
    deadline = time.monotonic() + service.ready_seconds
    # Life before readiness: where another program answers on its port, that must not be taken for it.
    while find(service.name, home) == process:
        if service.is_ready():
            return int(process.pid)
        if time.monotonic() > deadline:
            stop(service.name, home)
            raise NotReady(service.name, service.ready_seconds, log)
        time.sleep(_POLL_SECONDS)
    record = _read_record(service.name, home)
    raise ProcessDied(service.name, log, _last_line(log, record.log_begins_at if record is not None else 0))


def _started_by(process: psutil.Process) -> list[psutil.Process]:
    """Its children and theirs, and whatever else is in its group because the parent in between is gone."""
    with suppress(psutil.NoSuchProcess):
        return list({*process.children(recursive=True), *_group(process.pid)} - {process})
    return []


def _left_behind(record: _Record | None) -> list[psutil.Process]:
    """What a process that was killed had started; nothing where its pid belongs to somebody else by now.

    The system gives no pid away that is still the number of a group.
    """
    if record is None or (psutil.pid_exists(record.pid) and _process(record) is None):
        return []
    return [member for member in _group(record.pid) if member.pid != record.pid]


def _group(leader_pid: int) -> list[psutil.Process]:
    members = []
    for process in psutil.process_iter():
        with suppress(OSError, psutil.Error):
            if os.getpgid(process.pid) == leader_pid and process.status() != psutil.STATUS_ZOMBIE:
                members.append(process)
    return members


def _end(leader: psutil.Process | None, others: Sequence[psutil.Process]) -> None:
    """First ask, then insist. The leader is asked alone: it may want to end the others in its own order.

    The others were looked up before, for they could not be found through it any more.
    """
    stubborn: list[psutil.Process] = []
    for members, seconds in (([leader] if leader is not None else [], _GRACE_SECONDS), (others, _ORPHAN_SECONDS)):
        for member in members:
            with suppress(psutil.Error):
                member.send_signal(signal.SIGTERM)
        stubborn += _alive_after(members, seconds)
    for member in stubborn:
        with suppress(psutil.Error):
            member.kill()
    _alive_after(stubborn, _ORPHAN_SECONDS)


def _alive_after(members: Sequence[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Those that have not ended in time. One that nobody has reaped yet has ended; in a container nobody may ever."""
    deadline = time.monotonic() + seconds
    while (alive := [member for member in members if not _has_ended(member)]) and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
    return alive


@contextmanager
def _one_at_a_time(name: str, home: Path) -> Iterator[None]:
    """Two who find nothing running at the same moment would both start it."""
    lock = _file(name, home).with_suffix(".lock")
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _last_line(log: Path, begins_at: int) -> str:
    """The last line that this process wrote; the lines of those before it would mislead."""
    try:
        with log.open("rb") as file:
            file.seek(max(begins_at, log.stat().st_size - _LOG_TAIL_BYTES))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else ""
