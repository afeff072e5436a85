"""A network of its own, in which nothing but 127.0.0.1 exists.

Some servers listen on every address of the machine and cannot be told otherwise. In here, there is only one.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import struct
import subprocess
import sys

_SET_FLAGS, _UP = 0x8914, 0x1
_INSIDE = "EVERFRESH_BENCH_NETWORK"


def enter_own_network() -> None:
    """Start this program again in a network namespace; where the system allows none, go on in the common network."""
    if os.environ.get(_INSIDE) == "1":
        _bring_loopback_up()
    elif unshare := _unshare():
        os.environ[_INSIDE] = "1"
        os.execv(unshare[0], [*unshare, sys.executable, "-m", "benchmarks.serving", *sys.argv[1:]])


def is_own_network() -> bool:
    """Whether nothing but this machine can reach what listens here."""
    return [name for _, name in socket.if_nameindex()] == ["lo"]


def _unshare() -> list[str] | None:
    program = shutil.which("unshare")
    if program is None:
        return None
    command = [program, "--net", *([] if os.geteuid() == 0 else ["--map-root-user"])]
    works = subprocess.run([*command, "true"], capture_output=True).returncode == 0
    return command if works else None


def _bring_loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as anything:
        fcntl.ioctl(anything, _SET_FLAGS, struct.pack("16sh14x", b"lo", _UP))
