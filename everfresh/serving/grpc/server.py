"""The gRPC server of a worker: beside its HTTP server, on the same event loop, on a port of its own."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import grpc
from grpc import aio

from everfresh.errors import PortTaken, TlsUnusable
from everfresh.serving.access.tls import TlsOptions
from everfresh.serving.dataplane import DataPlane
from everfresh.serving.grpc import health, tensorflow_serving, v2
from everfresh.serving.grpc.app import Admit, GrpcApp
from everfresh.serving.http.app import MOST_BYTES
from everfresh.serving.metrics.counting import Metrics

# How long calls may take to end when the server stops.
STOP_SECONDS = 5.0
MOST_CALLS = 1_024
SERVICES = (v2.SERVICE, tensorflow_serving.PREDICTION, tensorflow_serving.MODEL)

_OPTIONS = (
    ("grpc.max_receive_message_length", MOST_BYTES),
    ("grpc.max_send_message_length", -1),
    # Every worker of the server listens on the port; that nobody else does was made sure before.
    ("grpc.so_reuseport", 1),
    # What is compressed is larger than what was counted when it came.
    ("grpc.compression_enabled_algorithms_bitset", 1),
    # A caller that vanished does not hold its connection for ever.
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
)


@dataclass(frozen=True)
class GrpcOptions:
    """Where a server listens for gRPC; port 0 is any port that is free, for one worker."""

    host: str
    port: int
    tls: TlsOptions | None = None


class GrpcServer:
    """Listens from `start` to `stop`, both on the event loop of the worker."""

    def __init__(
        self,
        options: GrpcOptions,
        plane: DataPlane,
        is_ready: Callable[[], bool],
        metrics: Metrics,
        threads: ThreadPoolExecutor,
        admit: Admit,
    ) -> None:
        self._options = options
        methods = [
            *health.methods(is_ready, SERVICES),
            *v2.methods(plane.models, is_ready),
            *tensorflow_serving.methods(plane.models),
        ]
        self._app = GrpcApp(plane, methods, metrics, threads, admit)
        self._server: Any = None

    async def start(self) -> int:
        """Listen; the port.

        Raises:
            PortTaken: something else listens there.
            TlsUnusable: a file for TLS cannot be used.
        """
        host, port = self._options.host, self._options.port
        self._server = aio.server(options=_OPTIONS, maximum_concurrent_rpcs=MOST_CALLS)
        self._server.add_generic_rpc_handlers(self._app.handlers())
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        try:
            if self._options.tls is None:
                bound = self._server.add_insecure_port(address)
            else:
                bound = self._server.add_secure_port(address, credentials(self._options.tls))
        except RuntimeError as error:
            raise PortTaken("The gRPC server", port, "Choose another port.", host=host) from error
        await self._server.start()
        return int(bound)

    async def stop(self) -> None:
        """Take no more calls, and answer those that came."""
        self._app.close_streams()
        if self._server is not None:
            await self._server.stop(STOP_SECONDS)


def credentials(options: TlsOptions) -> grpc.ServerCredentials:
    """TLS as gRPC takes it. It speaks 1.2 besides 1.3, whatever is said of the oldest.

    Raises:
        TlsUnusable: a file cannot be read.
    """
    try:
        pair = (options.key.read_bytes(), options.cert.read_bytes())
        client_ca = options.client_ca.read_bytes() if options.client_ca is not None else None
    except OSError as error:
        raise TlsUnusable(options.cert, f"cannot be read: {error}", "See --tls-cert and its like.") from error
    return grpc.ssl_server_credentials([pair], client_ca, require_client_auth=client_ca is not None)
