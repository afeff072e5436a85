"""The server process: checks the port, starts the workers, and waits for the signal to stop."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from functools import partial
from pathlib import Path
from typing import IO, Any

from granian import Granian
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.log import LogLevels

from everfresh.errors import PortTaken, RootTaken
from everfresh.serving.access.policy import AccessOptions, access_options, checked_access
from everfresh.serving.access.tls import checked_tls, granian_arguments
from everfresh.serving.grpc import check_grpc
from everfresh.serving.logs import logging_config
from everfresh.serving.metrics.files import forget_metrics
from everfresh.serving.options import ServerOptions
from everfresh.serving.presence import (
    ORPHAN_SECONDS,
    ServerInfo,
    forget_server,
    hold_root,
    is_alive,
    last_server,
    write_server,
)
from everfresh.serving.trails import check_trails
from everfresh.serving.versions.state import forget_workers

# How long requests may take to end when the server stops.
STOP_SECONDS = 10
# How long the head of a request may take, from the moment when its connection is free for it.
HEADER_SECONDS = 60


def serve(options: ServerOptions) -> None:
    """Serve until SIGTERM or SIGINT, then answer what is being asked, write the log, and return.

    Raises:
        RootTaken: another server runs on the root.
        PortTaken: something else listens on the port.
        ServingError: keys, tokens or certificates are not as they must be, or anybody could come in.
    """
    _on_signals(_stop_early)
    logging = logging_config()
    check_trails()
    root = options.root.resolve()
    access = _checked(options, root)
    was_killed = last_server(root) is not None
    lock = claim_root(root)
    for port in (options.port, *((options.grpc_port,) if options.grpc_port else ())):
        check_port(options.host, port, patience_s=ORPHAN_SECONDS if was_killed else 0.0)
    forget_workers(root)
    forget_metrics(root)
    write_server(root, ServerInfo(os.getpid(), options.host, options.port, options.workers))
    server = Granian(
        "everfresh.serving",
        address=options.host,
        port=options.port,
        interface=Interfaces.RSGI,
        workers=options.workers,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(header_read_timeout=HEADER_SECONDS * 1000),
        websockets=False,
        respawn_failed_workers=True,
        workers_kill_timeout=STOP_SECONDS,
        log_level=LogLevels.warning,
        log_dictconfig=logging,
        **granian_arguments(options.tls),
    )
    # Until a worker has handlers of its own, it would have the server's, which only take note of a signal to stop.
    os.register_at_fork(after_in_child=partial(_on_signals, signal.SIG_DFL))
    # Where this raises, server.json stays: whoever supervises knows by it that the server did not end as it should.
    server.serve(target_loader=partial(load_worker, options, access, os.getpid()), wrap_loader=False)
    forget_server(root)
    lock.close()


def _on_signals(action: Any) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, action)


def _stop_early(number: int, frame: Any) -> None:
    """What a signal to stop does before there are workers to stop."""
    raise SystemExit(0)


def _checked(options: ServerOptions, root: Path) -> AccessOptions:
    """Who may come in; whatever is wrong with keys or certificates is said now, and not by each worker."""
    asks_certificates = options.tls is not None and options.tls.client_ca is not None
    access = access_options(root, options.host, is_open=options.is_open, certificates=asks_certificates)
    for warning in checked_tls(options.tls) if options.tls is not None else ():
        sys.stderr.write(f"{warning}\n")
    if options.grpc_port is not None:
        check_grpc(options.tls)
    return checked_access(access)


def load_worker(options: ServerOptions, access: AccessOptions, server_pid: int) -> Any:
    """The application of a worker. Imported in the worker's own process: threads do not survive a fork."""
    from everfresh.serving.worker import Worker

    return Worker(options, access, server_pid)


def claim_root(root: Path) -> IO[str]:
    """The lock of the one server of a root. The workers of a server that was killed hold it until they have ended.

    Raises:
        RootTaken: another server runs there.
    """
    deadline = time.monotonic() + ORPHAN_SECONDS + 2
    while (lock := hold_root(root)) is None:
        other = last_server(root)
        is_running = other is not None and is_alive(other.pid)
        if is_running or time.monotonic() > deadline:
            raise RootTaken(root, other.pid if other is not None else None)
        time.sleep(0.05)
    return lock


def check_port(host: str, port: int, *, patience_s: float = 0.0) -> None:
    """Make sure that nothing listens on a port, and say so in a sentence before any worker starts.

    Args:
        host: the address.
        port: the port.
        patience_s: how long to wait for workers of a server that was killed: they end by themselves, but not at once.

    Raises:
        PortTaken: something does, or the address is not this machine's.
    """
    deadline = time.monotonic() + patience_s
    while (why := _why_taken(host, port)) is not None:
        if time.monotonic() >= deadline:
            remedy = "Stop what listens there, or choose another port."
            raise PortTaken("The inference server", port, remedy, host=host, why=why)
        time.sleep(0.05)


def _why_taken(host: str, port: int) -> str | None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except (OSError, OverflowError) as error:
            return getattr(error, "strerror", None) or str(error)
    return None
