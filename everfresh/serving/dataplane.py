"""Answering rows: what all transports have in common, and none of them knows more about."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from everfresh.packaging.batch import Answer
from everfresh.serving.decoding import Rows
from everfresh.serving.inference import Inference
from everfresh.serving.metrics import Metrics
from everfresh.serving.models import LoadedModel, ModelTable
from everfresh.serving.recorder import Recorder
from everfresh.serving.refusals import ModelFailed

logger = logging.getLogger(__name__)


class DataPlane:
    """Answers tables of plain values with the models of a table, and has them recorded."""

    def __init__(self, models: ModelTable, recorder: Recorder, metrics: Metrics) -> None:
        self.models = models
        self._recorder = recorder
        self._metrics = metrics

    def infer(
        self, model: LoadedModel, table: Mapping[str, Sequence[Any]], request_id: str, *, record: bool = True
    ) -> Inference:
        """The answer of `model` to the rows of `table`; without `record`, they are not taken for production's.

        Raises:
            BadRows: the rows are not what the model reads.
            ModelFailed: the model raised, or answered something that is no answer.
        """
        received, started = datetime.now(UTC), time.perf_counter()
        rows = model.reader.read(table)
        answer = self._answer(model, rows)
        ids = rows.ids if rows.ids is not None else tuple(f"{request_id}-{row}" for row in range(rows.batch.rows))
        inference = Inference(model, rows, answer, ids, request_id, received)
        if record:
            self._recorder.record(inference)
        self._metrics.answered(model.name, model.version, rows.batch.rows, time.perf_counter() - started)
        return inference

    def _answer(self, model: LoadedModel, rows: Rows) -> Answer:
        try:
            answer = model.scorer.score(rows.batch)
        except Exception as error:
            logger.exception("%s v%s failed on %s rows", model.name, model.version, rows.batch.rows)
            raise ModelFailed(model.name, model.version) from error
        if len(answer) != rows.batch.rows or not np.isfinite(answer).all():
            logger.error("%s v%s answered %s rows with no finite number", model.name, model.version, rows.batch.rows)
            raise ModelFailed(model.name, model.version)
        return answer
