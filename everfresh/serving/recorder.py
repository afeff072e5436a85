"""The inference log: what was asked and answered, kept for monitoring, never at the expense of a request."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Sequence
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from everfresh.data.inference_log import FEATURE_PREFIX, log_schema, write_rows
from everfresh.serving.arrow import keep_pandas_out
from everfresh.serving.inference import Inference
from everfresh.serving.metrics import Metrics

logger = logging.getLogger(__name__)

FLUSH_SECONDS = 1.0
FLUSH_ROWS = 10_000
MOST_WAITING_ROWS = 200_000


class Recorder:
    """Keeps inferences in memory and writes them as Parquet from a thread of its own.

    Rows are dropped, and counted as dropped, where the disk refuses them or is slower than the requests.
    """

    def __init__(self, root: Path, metrics: Metrics) -> None:
        keep_pandas_out()
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
        except Exception as error:  # whatever it is: the thread must live, and requests go on
            self._metrics.log_dropped(rows)
            # Once for each kind of failure: a full disk must not fill the other log, too.
            kind = f"{name}: {type(error).__name__} {getattr(error, 'errno', None)}"
            if kind != self._last_failure:
                self._last_failure = kind
                logger.error("The inference log of %s cannot be written, rows are dropped: %s", name, error)
        else:
            self._metrics.log_written(rows)
            self._last_failure = ""


def log_table(inferences: Sequence[Inference]) -> pa.Table:
    """Inferences of one version, in the columns of `everfresh.data.inference_log.log_schema`."""
    manifest = inferences[0].model.manifest
    counts = [inference.rows.batch.rows for inference in inferences]
    received = np.repeat([_microseconds(inference.received) for inference in inferences], counts)
    answer = np.concatenate([inference.answer for inference in inferences])
    columns: list[Any] = [
        list(chain.from_iterable(inference.ids for inference in inferences)),
        _times(inferences, received),
        received,
        np.repeat([inference.model.version for inference in inferences], counts),
        [inference.request_id for inference, count in zip(inferences, counts, strict=True) for _ in range(count)],
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


def _times(inferences: Sequence[Inference], received: NDArray[np.datetime64]) -> NDArray[np.datetime64]:
    """When the rows happened: by their own account, else when they came."""
    unknown = np.datetime64("NaT", "us")
    told = np.concatenate(
        [
            inference.rows.times if inference.rows.times is not None else np.full(inference.rows.batch.rows, unknown)
            for inference in inferences
        ]
    )
    return np.where(np.isnat(told), received, told)


def _microseconds(time: datetime) -> np.datetime64:
    return np.datetime64(time.replace(tzinfo=None), "us")
