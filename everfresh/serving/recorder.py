"""The inference log: what was asked and answered, kept for monitoring, never at the expense of a request."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from everfresh.data.inference_log import FEATURE_PREFIX, log_schema, write_rows
from everfresh.serving.arrow import keep_pandas_out
from everfresh.serving.decoding import Rows
from everfresh.serving.inference import AnsweredBatch
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
        self._waiting: deque[AnsweredBatch] = deque()
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

    def record(self, batch: AnsweredBatch) -> None:
        """Keep answers for the next flush; takes a microsecond and never raises."""
        rows = batch.rows.batch.rows
        with self._lock:
            if self._waiting_rows + rows > MOST_WAITING_ROWS:
                self._metrics.log_dropped(rows)
                return
            self._waiting.append(batch)
            self._waiting_rows += rows
            is_full = self._waiting_rows >= FLUSH_ROWS
        if is_full:
            self._wake.set()

    def flush(self) -> None:
        """Write what is waiting now: one file for each version that answered."""
        with self._lock:
            waiting, self._waiting, self._waiting_rows = list(self._waiting), deque(), 0
        alike: dict[tuple[str, int, bool], list[AnsweredBatch]] = {}
        for batch in waiting:
            key = (batch.model.name, batch.model.version, batch.variant == "shadow")
            alike.setdefault(key, []).append(batch)
        for (name, _, is_shadow), batches in alike.items():
            self._write(name, batches, is_shadow=is_shadow)

    def _run(self) -> None:
        while not self._stopping:
            self._wake.wait(FLUSH_SECONDS)
            self._wake.clear()
            self.flush()

    def _write(self, name: str, batches: Sequence[AnsweredBatch], *, is_shadow: bool) -> None:
        rows = sum(batch.rows.batch.rows for batch in batches)
        try:
            write_rows(self._root, name, log_table(batches), shadow=is_shadow)
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


def log_table(batches: Sequence[AnsweredBatch]) -> pa.Table:
    """Answers of one version, in the columns of `everfresh.data.inference_log.log_schema`."""
    manifest = batches[0].model.manifest
    asked = [one for batch in batches for one in batch.asked]
    counts = [count for batch in batches for count in batch.counts]
    received_ns = np.array([one.received_ns for one in asked], dtype=np.int64)
    answered_ns = np.repeat([batch.answered_ns for batch in batches], [len(batch.asked) for batch in batches])
    received = np.repeat(received_ns // 1000, counts).view("datetime64[us]")
    rows = [batch.rows for batch in batches]
    answer = np.concatenate([batch.answer for batch in batches])
    columns: list[Any] = [
        list(chain.from_iterable(batch.row_ids() for batch in batches)),
        _times(rows, received),
        received,
        np.full(len(answer), manifest.name, dtype=object),
        np.full(len(answer), batches[0].model.version),
        list(chain.from_iterable([batch.variant] * batch.rows.batch.rows for batch in batches)),
        [one.request_id for one, count in zip(asked, counts, strict=True) for _ in range(count)],
        np.repeat((answered_ns - received_ns) / 1e9, counts),
    ]
    for column in manifest.columns:
        if column.is_category:
            columns.append(list(chain.from_iterable(part.batch.categories[column.name] for part in rows)))
        else:
            columns.append(np.concatenate([part.batch.numbers[column.name] for part in rows]))
    columns += list(answer.T) if manifest.classes else [answer]
    schema = log_schema(manifest.columns, manifest.classes)
    # from_pandas: NaN, the missing number, becomes null.
    arrays = [
        pa.array(values, field.type, from_pandas=field.name.startswith(FEATURE_PREFIX))
        for values, field in zip(columns, schema, strict=True)
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def _times(parts: Sequence[Rows], received: NDArray[np.datetime64]) -> NDArray[np.datetime64]:
    """When the rows happened: by their own account, else when they came."""
    unknown = np.datetime64("NaT", "us")
    told = np.concatenate(
        [part.times if part.times is not None else np.full(part.batch.rows, unknown) for part in parts]
    )
    return np.where(np.isnat(told), received, told)
