"""The inference log: what was asked and answered, kept for monitoring, never at the expense of a request."""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path

from everfresh.data.inference_log import LogPolicy, write_rows
from everfresh.data.inference_log.policy import KEEP_ALL, hash_key
from everfresh.serving.arrow import keep_pandas_out
from everfresh.serving.inference import AnsweredBatch
from everfresh.serving.metrics.counting import Metrics
from everfresh.serving.recording.keeper import Keeper
from everfresh.serving.recording.log_table import log_table

logger = logging.getLogger(__name__)

FLUSH_SECONDS = 1.0
FLUSH_ROWS = 10_000
MOST_WAITING_ROWS = 200_000


class Recorder:
    """Keeps inferences in memory and writes them as Parquet from a thread of its own.

    Rows are dropped, and counted as dropped, where the disk refuses them or is slower than the requests. The files are
    kept in order by another thread; see `Keeper`.
    """

    def __init__(self, root: Path, metrics: Metrics, environment: Mapping[str, str] = os.environ) -> None:
        keep_pandas_out()
        self._root = root
        self._metrics = metrics
        self._environment = environment
        self._keeper = Keeper(root, metrics, environment)
        self._policies: dict[str, LogPolicy] = {}
        self._key: bytes | None = None
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
        self._keeper.start()

    def stop(self) -> None:
        """Write what is waiting, and end."""
        self._stopping = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()
        self.flush()
        self._keeper.stop()

    def set_policy(self, name: str, policy: LogPolicy) -> None:
        """Keep of a model's traffic what the policy says, from the next flush on."""
        self._policies[name] = policy
        self._keeper.set_policy(name, policy)

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
        policy = self._policies.get(name, KEEP_ALL)
        rows = sum(batch.rows.batch.rows for batch in batches)
        try:
            taken = batches if policy.sample >= 1 else _sample(batches, policy)
            written = sum(batch.rows.batch.rows for batch in taken)
            if taken:
                key = self._hash_key() if policy.hashed else b""
                write_rows(self._root, name, log_table(taken, policy, key), shadow=is_shadow)
        except Exception as error:  # whatever it is: the thread must live, and requests go on
            self._metrics.log_dropped(rows)
            # Once for each kind of failure: a full disk must not fill the other log, too.
            kind = f"{name}: {type(error).__name__} {getattr(error, 'errno', None)}"
            if kind != self._last_failure:
                self._last_failure = kind
                logger.error("The inference log of %s cannot be written, rows are dropped: %s", name, error)
        else:
            self._metrics.log_written(written)
            if written < rows:
                self._metrics.log_sampled_out(rows - written)
            self._last_failure = ""

    def _hash_key(self) -> bytes:
        if self._key is None:
            self._key = hash_key(self._root, self._environment)
        return self._key


def _sample(batches: Sequence[AnsweredBatch], policy: LogPolicy) -> list[AnsweredBatch]:
    """The requests that the policy takes."""
    parts = [batch.part([policy.takes(one.request_id) for one in batch.asked]) for batch in batches]
    return [part for part in parts if part is not None]
