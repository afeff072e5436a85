"""Whether a server runs on a root, and which: `server.json`, and a lock that ends with whoever holds it.

A process number alone proves nothing: after a restart of the machine, or of a container, somebody else has it. The
supervisor imports this module, so nothing but small parts of the standard library is imported here.
"""

from __future__ import annotations

import fcntl
import json
import os
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

# How long the workers of a server that was killed may go on, to answer what they were asked.
ORPHAN_SECONDS = 10.0

EXIT_TAKEN = 3
"""The exit code of a server that cannot have its port or its root: starting it again would change nothing."""


@dataclass(frozen=True)
class ServerInfo:
    """The server that was started on a root."""

    pid: int
    host: str
    port: int
    workers: int

    @property
    def url(self) -> str:
        """The address that clients on this machine use."""
        host = "127.0.0.1" if self.host in ("0.0.0.0", "::") else self.host  # noqa: S104 - compared, not bound
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"


def read_server(root: Path) -> ServerInfo | None:
    """The server on this root, or None where none runs."""
    info = last_server(root)
    return info if info is not None and is_alive(info.pid) and is_held(_server_lock(root)) else None


def last_server(root: Path) -> ServerInfo | None:
    """The server that runs on this root, or that was killed there; None where the last one ended as it should."""
    try:
        return ServerInfo(**json.loads((root / "server.json").read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


def write_server(root: Path, info: ServerInfo) -> None:
    """Say which server runs on this root."""
    write_json(root / "server.json", asdict(info))


def started_at(root: Path) -> float | None:
    """When the server on this root started, in seconds since 1970; None where there is none."""
    try:
        return (root / "server.json").stat().st_mtime
    except OSError:
        return None


def forget_server(root: Path) -> None:
    """Say that the server has ended as it should."""
    (root / "server.json").unlink(missing_ok=True)


def hold_root(root: Path) -> IO[str] | None:
    """The lock of the one server of a root, until this process and all that it forked have ended; None where taken."""
    return hold(_server_lock(root))


def hold(file: Path) -> IO[str] | None:
    """A lock, for as long as what is returned stays open; None where another process has it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    lock = file.open("a")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        return None
    return lock


def is_held(file: Path) -> bool:
    """Whether some process holds a lock."""
    try:
        lock = file.open()
    except OSError:
        return False
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def is_alive(pid: int) -> bool:
    """Whether a process of this machine is there and has not ended, be it somebody else's."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return not _waits_for_its_parent(pid)


def write_json(file: Path, content: Any) -> None:
    """Write a file that is never seen half-written."""
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{file.name}.{os.getpid()}-{uuid.uuid4().hex[:8]}")
    try:
        temporary.write_text(json.dumps(content, indent=2) + "\n")
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)


def _server_lock(root: Path) -> Path:
    return root / ".server.lock"


def _waits_for_its_parent(pid: int) -> bool:
    """Whether a process has ended and its parent did not ask how: in containers, that may last for ever."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:  # another system, or gone by now
        return False
    return stat.rpartition(b")")[2].split()[0] == b"Z"
