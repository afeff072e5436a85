"""One worker process: its models, its log, its application, from start to end."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from everfresh.serving.dataplane import DataPlane
from everfresh.serving.http.api import all_routes
from everfresh.serving.http.app import HttpApp
from everfresh.serving.labels import LabelStore
from everfresh.serving.metrics import Metrics
from everfresh.serving.metrics_files import MetricsFiles
from everfresh.serving.models import ModelTable
from everfresh.serving.presence import ORPHAN_SECONDS
from everfresh.serving.recorder import Recorder
from everfresh.serving.repository import Repository
from everfresh.serving.state import inference_root
from everfresh.serving.watcher import StateWatcher

logger = logging.getLogger(__name__)

FIRST_LOAD_SECONDS = 10.0
ORPHAN_LOOK_EVERY_S = 0.05
THREADS = 2


class Worker:
    """What granian runs in each of its processes, by its RSGI interface."""

    def __init__(self, root: Path, server_pid: int) -> None:
        metrics = Metrics()
        models = ModelTable()
        self._metrics_files = MetricsFiles(root, metrics)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="answers")
        self._recorder = Recorder(inference_root(root), metrics)
        self._watcher = StateWatcher(root, models, metrics)
        self._orphan_watch = threading.Thread(target=_end_with, args=(server_pid,), name="orphan-watch", daemon=True)
        self._plane = DataPlane(models, self._recorder, metrics, self._threads)
        store = LabelStore(inference_root(root), metrics)
        routes = all_routes(models, Repository(root), lambda: self._watcher.is_ready, store, self._metrics_files)
        self._app = HttpApp(self._plane, routes, metrics, self._threads)

    def __rsgi_init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Load the models. The worker listens only afterwards, so that requests go to workers which can answer them.

        It does not wait for ever: from then on it says itself that nothing is ready.
        """
        self._orphan_watch.start()
        self._recorder.start()
        self._metrics_files.start()
        self._watcher.start()
        self._watcher.wait_for_first(FIRST_LOAD_SECONDS)

    def __rsgi_del__(self, loop: asyncio.AbstractEventLoop) -> None:
        """After the last request: write the rest of the log."""
        self._watcher.stop()
        self._app.close()
        self._threads.shutdown()
        self._plane.close()
        self._recorder.stop()
        self._metrics_files.stop()

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        """Answer one request."""
        await self._app.handle(scope, protocol)


def _end_with(server_pid: int) -> None:
    """End this worker when its server is gone: nobody else would, and the port must become free.

    It ends as on a normal stop, with its requests answered and its log written, but not later than the alarm.
    """
    while os.getppid() == server_pid:
        time.sleep(ORPHAN_LOOK_EVERY_S)
    logger.error("The server process is gone; worker %s ends", os.getpid())
    signal.setitimer(signal.ITIMER_REAL, ORPHAN_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)
