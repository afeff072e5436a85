"""Where a server finds its models, where it listens, and to whom."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from everfresh.serving.access.tls import TlsOptions


@dataclass(frozen=True)
class ServerOptions:
    """Where a server finds its models, where it listens, and to whom.

    Attributes:
        root: where serving.json and the bundles lie.
        port: where it speaks HTTP.
        host: the address it listens on.
        workers: how many processes answer.
        grpc_port: where it speaks gRPC; None for not at all.
        memory_mb: how many megabytes of bundles each worker keeps in memory; None for all that are served.
        is_open: whether other machines may ask without saying who they are.
        tls: how it speaks TLS; None for not at all.
    """

    root: Path
    port: int
    host: str = "127.0.0.1"
    workers: int = 1
    grpc_port: int | None = None
    memory_mb: int | None = None
    is_open: bool = False
    tls: TlsOptions | None = None
