"""The inference log: what was asked and answered, kept for monitoring, never at the expense of a request."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from everfresh.data.inference_log import FEATURE_PREFIX, log_schema, write_rows
from everfresh.serving.metrics import Metrics

if TYPE_CHECKING:
    from everfresh.serving.dataplane import Inference

logger = logging.getLogger(__name__)

FLUSH_SECONDS = 1.0
FLUSH_ROWS = 10_000
MOST_WAITING_ROWS = 200_000


class Recorder:
    """Keeps inferences in memory and writes them as Parquet from a thread of its own.

    Rows are dropped, and counted as dropped, where the disk refuses them or is slower than the requests.
    """

    def __init__(self, root: Path, metrics: Metrics) -> None:
        self._root = root
        self._metrics = metrics
        self._waiting: deque[Inference] = deque()
        self._waiting_rows = 0
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._stopping = False
        self._last_failure = ""
        self._thread = threading.Thread(target=self._run, name="inference-log", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def stop(self) -> None:
        """Write what is waiting, and end."""
        self._stopping = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()
        self.flush()

    def record(self, inference: Inference) -> None:
        """Keep an inference for the next flush; takes a microsecond and never raises."""
        rows = inference.rows.batch.rows
        with self._lock:
            if self._waiting_rows + rows > MOST_WAITING_ROWS:
                self._metrics.log_dropped(rows)
                return
            self._waiting.append(inference)
            self._waiting_rows += rows
            is_full = self._waiting_rows >= FLUSH_ROWS
        if is_full:
            self._wake.set()

    def flush(self) -> None:
        """Write what is waiting now: one file for each version that answered."""
        with self._lock:
            waiting, self._waiting, self._waiting_rows = list(self._waiting), deque(), 0
        by_version: dict[tuple[str, int], list[Inference]] = {}
        for inference in waiting:
            by_version.setdefault((inference.model.name, inference.model.version), []).append(inference)
        for (name, _), inferences in by_version.items():
            self._write(name, inferences)

    def _run(self) -> None:
        while not self._stopping:
            self._wake.wait(FLUSH_SECONDS)
            self._wake.clear()
            self.flush()

    def _write(self, name: str, inferences: Sequence[Inference]) -> None:
        rows = sum(inference.rows.batch.rows for inference in inferences)
        try:
            write_rows(self._root, name, log_table(inferences))
        except (OSError, pa.ArrowException) as error:
            self._metrics.log_dropped(rows)
            # Once for each kind of failure: a full disk must not fill the other log, too.
            if str(error) != self._last_failure:
                self._last_failure = str(error)
                logger.error("The inference log of %s cannot be written, rows are dropped: %s", name, error)
        else:
            self._metrics.log_written(rows)
            self._last_failure = ""


def log_table(inferences: Sequence[Inference]) -> pa.Table:
    """Inferences of one version, in the columns of `everfresh.data.inference_log.log_schema`."""
    manifest = inferences[0].model.manifest
    counts = [inference.rows.batch.rows for inference in inferences]
    received = _repeated([inference.received for inference in inferences], counts)
    answer = np.concatenate([inference.answer for inference in inferences])
    columns: list[Any] = [
        list(chain.from_iterable(inference.ids for inference in inferences)),
        list(chain.from_iterable(_times(inference) for inference in inferences)),
        received,
        _repeated([inference.model.version for inference in inferences], counts),
        _repeated([inference.request_id for inference in inferences], counts),
    ]
    for column in manifest.columns:
        if column.is_category:
            texts = (inference.rows.batch.categories[column.name] for inference in inferences)
            columns.append(list(chain.from_iterable(texts)))
        else:
            columns.append(np.concatenate([inference.rows.batch.numbers[column.name] for inference in inferences]))
    columns += list(answer.T) if manifest.classes else [answer]
    schema = log_schema(manifest.columns, manifest.classes)
    # from_pandas: NaN, the missing number, becomes null.
    arrays = [
        pa.array(values, field.type, from_pandas=field.name.startswith(FEATURE_PREFIX))
        for values, field in zip(columns, schema, strict=True)
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def _times(inference: Inference) -> Iterable[Any]:
    """When the rows happened: by their own account, else when they came."""
    rows = inference.rows
    if rows.times is None:
        return [inference.received] * rows.batch.rows
    return [time or inference.received for time in rows.times]


def _repeated(values: Sequence[Any], counts: Sequence[int]) -> list[Any]:
    return [value for value, count in zip(values, counts, strict=True) for _ in range(count)]
