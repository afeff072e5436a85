"""One worker process: its models, its log, its application, from start to end."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from everfresh.serving.access.policy import AccessOptions, AccessPolicy
from everfresh.serving.dataplane import DataPlane
from everfresh.serving.http.api import all_routes
from everfresh.serving.http.app import HttpApp
from everfresh.serving.logs import log_uncaught
from everfresh.serving.metrics.counting import Metrics
from everfresh.serving.metrics.files import MetricsFiles
from everfresh.serving.presence import ORPHAN_SECONDS
from everfresh.serving.recording.labels import LabelStore
from everfresh.serving.recording.recorder import Recorder
from everfresh.serving.trails import open_trails
from everfresh.serving.versions.models import ModelTable
from everfresh.serving.versions.repository import Repository
from everfresh.serving.versions.residency import Residency
from everfresh.serving.versions.state import inference_root
from everfresh.serving.versions.watcher import StateWatcher

if TYPE_CHECKING:
    from everfresh.serving.grpc.server import GrpcServer
    from everfresh.serving.options import ServerOptions

logger = logging.getLogger(__name__)

FIRST_LOAD_SECONDS = 10.0
ORPHAN_LOOK_EVERY_S = 0.05
THREADS = 2
COLLECT_AFTER = 20_000
MEGABYTE = 1024 * 1024


class Worker:
    """What granian runs in each of its processes, by its RSGI interface."""

    def __init__(self, options: ServerOptions, access: AccessOptions, server_pid: int) -> None:
        root = options.root.resolve()
        log_uncaught()
        self._trails = open_trails()
        metrics = Metrics()
        models = ModelTable()
        residency = Residency(options.memory_mb * MEGABYTE) if options.memory_mb is not None else None
        self._orphan_watch = threading.Thread(target=_end_with, args=(server_pid,), name="orphan-watch", daemon=True)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="answers")
        self._access = AccessPolicy(access)
        self._recorder = Recorder(inference_root(root), metrics)
        self._watcher = StateWatcher(root, models, metrics, self._recorder.set_policy, residency)
        self._metrics_files = MetricsFiles(root, metrics)
        self._plane = DataPlane(models, self._recorder, metrics, self._threads, self._trails)
        store = LabelStore(inference_root(root), metrics)
        routes = all_routes(models, Repository(root), self._is_ready, store, self._metrics_files)
        self._app = HttpApp(self._plane, routes, metrics, self._threads, self._access, self._trails)
        self._grpc = self._grpc_server(options, metrics) if options.grpc_port is not None else None

    def __rsgi_init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Load the models. The worker listens only afterwards, so that requests go to workers which can answer them.

        It does not wait for ever: from then on it says itself that nothing is ready.
        """
        self._orphan_watch.start()
        self._recorder.start()
        self._metrics_files.start()
        self._watcher.start()
        self._access.start()
        self._watcher.wait_for_first(FIRST_LOAD_SECONDS)
        # What is there now stays: the collector need not look at it again and again while requests wait.
        gc.collect()
        gc.freeze()
        gc.set_threshold(COLLECT_AFTER)
        if self._grpc is not None:
            loop.run_until_complete(self._grpc.start())

    def __rsgi_del__(self, loop: asyncio.AbstractEventLoop) -> None:
        """After the last request: write the rest of the log."""
        if self._grpc is not None:
            loop.run_until_complete(self._grpc.stop())
        self._watcher.stop()
        self._app.close()
        self._threads.shutdown()
        self._plane.close()
        self._recorder.stop()
        self._metrics_files.stop()
        if self._trails is not None:
            self._trails.close()

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        """Answer one request."""
        await self._app.handle(scope, protocol)

    def _is_ready(self) -> bool:
        return self._watcher.is_ready

    def _grpc_server(self, options: ServerOptions, metrics: Metrics) -> GrpcServer:
        # Only here: a worker that speaks HTTP alone does not carry gRPC along.
        from everfresh.serving.grpc.server import GrpcOptions, GrpcServer

        where = GrpcOptions(options.host, options.grpc_port or 0, options.tls)
        return GrpcServer(where, self._plane, self._is_ready, metrics, self._threads, self._access.admit)


def _end_with(server_pid: int) -> None:
    """End this worker when its server is gone: nobody else would, and the port must become free.

    It ends as on a normal stop, with its requests answered and its log written, but not later than the alarm.
    """
    while os.getppid() == server_pid:
        time.sleep(ORPHAN_LOOK_EVERY_S)
    logger.error("The server process is gone; worker %s ends", os.getpid())
    signal.setitimer(signal.ITIMER_REAL, ORPHAN_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)
