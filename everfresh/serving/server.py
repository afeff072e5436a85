"""The server process: checks the port, starts the workers, and waits for the signal to stop."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from granian import Granian
from granian.constants import HTTPModes, Interfaces
from granian.log import LogLevels

from everfresh.errors import PortTaken
from everfresh.serving.state import ServerInfo, forget_dead_workers, write_server

STOP_SECONDS = 15

LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s [%(process)d] %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line", "stream": "ext://sys.stderr"}},
    "loggers": {
        "_granian": {"handlers": ["stderr"], "level": "WARNING", "propagate": False},
        "granian.access": {"handlers": [], "level": "WARNING", "propagate": False},
        "everfresh": {"handlers": ["stderr"], "level": "INFO", "propagate": False},
    },
}


@dataclass(frozen=True)
class ServerOptions:
    """Where a server finds its models and where it listens."""

    root: Path
    port: int
    host: str = "127.0.0.1"
    workers: int = 1


def serve(options: ServerOptions) -> None:
    """Serve until SIGTERM or SIGINT, then answer what is being asked, write the log, and return.

    Raises:
        PortTaken: something else listens there already.
    """
    check_port(options.host, options.port)
    root = options.root.resolve()
    forget_dead_workers(root)
    write_server(root, ServerInfo(os.getpid(), options.host, options.port, options.workers))
    server = Granian(
        "everfresh.serving",
        address=options.host,
        port=options.port,
        interface=Interfaces.RSGI,
        workers=options.workers,
        http=HTTPModes.http1,
        websockets=False,
        respawn_failed_workers=True,
        workers_kill_timeout=STOP_SECONDS,
        log_level=LogLevels.warning,
        log_dictconfig=LOGGING,
    )
    try:
        server.serve(target_loader=partial(load_worker, root), wrap_loader=False)
    finally:
        (root / "server.json").unlink(missing_ok=True)


def load_worker(root: Path) -> Any:
    """The application of a worker. Imported in the worker's own process: threads do not survive a fork."""
    from everfresh.serving.worker import Worker

    return Worker(root)


def check_port(host: str, port: int) -> None:
    """Make sure that nothing listens on a port, and say so in a sentence before any worker starts.

    Raises:
        PortTaken: something does, or the address is not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError as error:
            remedy = "Stop what listens there, or choose another port."
            raise PortTaken("The inference server", port, remedy, host=host, why=error.strerror or str(error)) from error
