"""A version that answers a copy of the traffic, after the answer has gone out and at nobody's expense."""

from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from everfresh.serving.inference import AnsweredBatch
from everfresh.serving.metrics.counting import Metrics
from everfresh.serving.questions.decoding import Rows
from everfresh.serving.recording.recorder import Recorder
from everfresh.serving.versions.models import LoadedModel

logger = logging.getLogger(__name__)

MOST_WAITING_ROWS = 10_000


class Shadow:
    """Asks shadow versions what was asked of others. What it answers goes to the log, beside what was served.

    The copies wait in a short queue of their own; where it is full, copies are left out and counted, and requests go
    on as they would without a shadow.
    """

    def __init__(self, recorder: Recorder, metrics: Metrics) -> None:
        self._recorder = recorder
        self._metrics = metrics
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="shadow")
        self._waiting_rows = 0
        self._lock = threading.Lock()

    def ask(self, shadow: LoadedModel, served: AnsweredBatch) -> None:
        """Have the shadow version answer the same rows, soon."""
        rows = served.rows.batch.rows
        with self._lock:
            is_full = self._waiting_rows + rows > MOST_WAITING_ROWS
            self._waiting_rows += 0 if is_full else rows
        if is_full:
            self._metrics.shadow_left_out(shadow.name, shadow.version, rows)
            return
        self._thread.submit(self._answer, shadow, served)

    def close(self) -> None:
        """Answer what waits, and end."""
        self._thread.shutdown()

    def _answer(self, shadow: LoadedModel, served: AnsweredBatch) -> None:
        try:
            rows = _as_read_by(shadow, served)
            answer = shadow.scorer.score(rows.batch)
            batch = replace(
                served, model=shadow, variant="shadow", rows=rows, answer=answer, answered_ns=time.time_ns()
            )
            recorded = batch.recorded()
            if recorded is not None:
                self._recorder.record(recorded)
            self._metrics.shadowed(shadow.name, shadow.version, len(answer))
        except Exception as error:
            # A shadow is there to be found wanting: whatever it does, requests and other copies go on.
            self._metrics.shadow_failed(shadow.name, shadow.version, served.rows.batch.rows)
            logger.error("The shadow %s v%s failed: %s", shadow.name, shadow.version, error)
        finally:
            with self._lock:
                self._waiting_rows -= served.rows.batch.rows


def _as_read_by(shadow: LoadedModel, served: AnsweredBatch) -> Rows:
    """The rows in the columns of the shadow version.

    The rows were read with the columns of another version, and may lack what this one needs.
    """
    if shadow.manifest.columns == served.model.manifest.columns:
        return served.rows
    batch = served.rows.batch
    columns = shadow.manifest.columns
    for column in columns:
        known = batch.categories if column.is_category else batch.numbers
        if column.name not in known:
            raise LookupError(f"version {served.model.version} does not read the column {column.name!r}")
    return served.rows
