"""The numbers of all workers of a server: each writes its own every second, and whoever is asked adds them up.

The file of a worker that ended stays until the server starts again: a counter that went back would look to Prometheus
like a restart. A worker that is killed loses the counts of its last second.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from pathlib import Path

from everfresh.serving.metrics.counting import IN_FLIGHT, WAITING_ROWS, Metrics, Snapshot
from everfresh.serving.presence import is_alive, write_json

logger = logging.getLogger(__name__)

WRITE_EVERY_S = 1.0


class MetricsFiles:
    """Writes one worker's numbers, and reads those of the others."""

    def __init__(self, root: Path, metrics: Metrics) -> None:
        self._folder = root / "metrics"
        self._metrics = metrics
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="metrics", daemon=True)
        self._has_failed = False

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def stop(self) -> None:
        """Write a last time, and end."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()
        self._write()

    def of_all_workers(self) -> Snapshot:
        """The numbers of this worker at this moment, and of the others as they last wrote them."""
        total = self._metrics.snapshot()
        for file in self._folder.glob("*.json"):
            if file.stem == str(os.getpid()):
                continue
            found = _read(file)
            if found is None:
                continue
            if not is_alive(int(file.stem)):
                for gauge in (IN_FLIGHT, WAITING_ROWS):
                    found.values.pop(gauge.name, None)
            total.add(found)
        return total

    def _run(self) -> None:
        while not self._stopping.wait(WRITE_EVERY_S):
            self._write()

    def _write(self) -> None:
        try:
            write_json(self._folder / f"{os.getpid()}.json", self._metrics.snapshot().to_json())
            self._has_failed = False
        except OSError as error:  # a full disk; requests go on
            if not self._has_failed:
                logger.error("The metrics of worker %s cannot be written for the others: %s", os.getpid(), error)
            self._has_failed = True


def forget_metrics(root: Path) -> None:
    """Take away the numbers of an earlier server."""
    for file in (root / "metrics").glob("*.json"):
        file.unlink(missing_ok=True)


def _read(file: Path) -> Snapshot | None:
    try:
        return Snapshot.from_json(json.loads(file.read_bytes())) if file.stem.isdigit() else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
