"""Load by wrk: closed loop, connections kept alive, the bodies in turn."""

from __future__ import annotations

import json
import resource
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

SCRIPT = Path(__file__).with_name("wrk.lua")
# wrk counts as failed what takes longer; a slow server is slow, and no failure.
PATIENCE_S = 60
_RESULT = "RESULT "


class LoadFailed(Exception):
    """wrk did not do its work; the message says why."""


@dataclass(frozen=True)
class Load:
    """What wrk saw of one window.

    Attributes:
        requests: answers that came within the window.
        seconds: how long the window was.
        p50_ms: half of the answers were faster.
        p99_ms: 99 of 100 were.
        errors: answers with a status of 400 and above, broken connections, answers that never came.
        generator_cpu_s: what wrk itself took.
    """

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    errors: int
    generator_cpu_s: float = 0.0

    @property
    def requests_per_s(self) -> float:
        """The rate."""
        return self.requests / self.seconds


def run_load(url: str, headers: Mapping[str, str], bodies: Path, *, connections: int, seconds: int) -> Load:
    """Ask for `seconds` with so many connections.

    Raises:
        LoadFailed: wrk could not.
    """
    command = [
        "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", f"{PATIENCE_S}s",
        "-s", str(SCRIPT), url, "--", str(bodies),
        *(f"{name}: {value}" for name, value in headers.items()),
    ]  # fmt: skip
    before = _children_cpu_s()
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + PATIENCE_S)
    except subprocess.TimeoutExpired:
        raise LoadFailed(f"wrk did not end {PATIENCE_S} s after it should have") from None
    load = parse(done.stdout + done.stderr)
    return Load(**{**vars(load), "generator_cpu_s": _children_cpu_s() - before})


def parse(output: str) -> Load:
    """What wrk.lua printed.

    Raises:
        LoadFailed: it printed nothing, because wrk ended before.

    >>> parse('RESULT {"requests": 20, "us": 2000000, "p50": 900, "p99": 4000, "errors": [0, 0, 0, 1, 2]}')
    Load(requests=20, seconds=2.0, p50_ms=0.9, p99_ms=4.0, errors=3, generator_cpu_s=0.0)
    """
    line = next((line for line in output.splitlines() if line.startswith(_RESULT)), None)
    if line is None:
        raise LoadFailed(f"wrk said: {output.strip()[-300:] or 'nothing'}")
    said = json.loads(line.removeprefix(_RESULT))
    return Load(said["requests"], said["us"] / 1e6, said["p50"] / 1e3, said["p99"] / 1e3, errors=sum(said["errors"]))


def write_bodies(bodies: Sequence[bytes], file: Path) -> Path:
    """The bodies as wrk.lua reads them: the length of each on a line of its own before it."""
    file.write_bytes(b"".join(b"%d\n%s" % (len(body), body) for body in bodies))
    return file


def _children_cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
