"""Answering questions: what all transports have in common, and none of them knows more about.

Questions to a model that wait at the same time are answered together, for a model and a log take little longer
for sixty rows than for one. Nothing is ever held back for that: a compiled plan answers on the event loop, at the next
turn, whatever came in this turn; a slow pipeline answers in a thread, and what comes meanwhile is its next batch. A
lone question is answered at once.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain
from operator import itemgetter

import numpy as np

from everfresh.packaging.batch import Answer
from everfresh.serving.inference import AnsweredBatch, Asked, Inference
from everfresh.serving.logs import about
from everfresh.serving.metrics.counting import Labels, Metrics
from everfresh.serving.questions.decoding import MOST_ROWS, Rows
from everfresh.serving.questions.question import Table
from everfresh.serving.recording.recorder import Recorder
from everfresh.serving.refusals import DeadlineExceeded, ModelFailed, Overloaded, Refusal
from everfresh.serving.shadow import Shadow
from everfresh.serving.trails import Trails
from everfresh.serving.versions.models import Choice, LoadedModel, ModelTable, Variant

logger = logging.getLogger(__name__)

_PLAIN = frozenset({list, tuple})

MOST_BATCH_ROWS = 256
MOST_TURNS = 3
MOST_WAITING_ROWS = 4 * MOST_ROWS


@dataclass(slots=True)
class _Waiting:
    asked: Asked
    variant: Variant
    shadow: LoadedModel | None
    rows: int
    answered: asyncio.Future[Inference]


@dataclass(slots=True)
class _Lane:
    """The questions that wait for one version. A busy lane has a turn coming, or a thread that answers."""

    waiting: deque[_Waiting] = field(default_factory=deque)
    rows: int = 0
    is_busy: bool = False


class DataPlane:
    """Answers questions with the models of a table, and has them recorded."""

    def __init__(
        self,
        models: ModelTable,
        recorder: Recorder,
        metrics: Metrics,
        threads: ThreadPoolExecutor,
        trails: Trails | None = None,
    ) -> None:
        self.models = models
        self._recorder = recorder
        self._metrics = metrics
        self._threads = threads
        self._trails = trails
        self._lanes: dict[LoadedModel, _Lane] = {}
        # How many questions are on their way here: a transport counts them while their bodies arrive.
        self.coming = 0
        self._shadow = Shadow(recorder, metrics)

    async def infer(self, choice: Choice, asked: Asked) -> Inference:
        """The answer to a question, together with the others that wait for the same version.

        Raises:
            BadRows: the rows are not what the model reads.
            Overloaded: too many rows wait already.
            DeadlineExceeded: the asker's time was over before it was this question's turn.
            ModelFailed: the model raised, or answered something that is no answer.
        """
        model = choice.model
        lane = self._lanes.get(model)
        if lane is None:
            if not self.coming and model.is_quick:
                return self.answer_now(choice, asked)
            lane = self._lanes[model] = _Lane()
        rows = _row_count(asked.question.table)
        if lane.rows + rows > MOST_WAITING_ROWS:
            self._metrics.shed(model.name)
            raise Overloaded
        loop = asyncio.get_running_loop()
        waiting = _Waiting(asked, choice.variant, choice.shadow, rows, loop.create_future())
        lane.waiting.append(waiting)
        lane.rows += rows
        if not lane.is_busy:
            lane.is_busy = True
            loop.call_soon(self._turn, loop, model, lane, MOST_TURNS)
        return await waiting.answered

    def waiting_rows(self) -> dict[Labels, float]:
        """How many rows wait for each model."""
        rows: dict[Labels, float] = {(("model", name),): 0.0 for name in self.models.current}
        for model, lane in list(self._lanes.items()):
            labels = (("model", model.name),)
            rows[labels] = rows.get(labels, 0.0) + lane.rows
        return rows

    def close(self) -> None:
        """Let the shadows end."""
        self._shadow.close()

    def answer_now(self, choice: Choice, asked: Asked) -> Inference:
        """The answer to a question by itself, on the thread that asks: for what is too large to wait with others.

        Raises:
            Refusal: as `infer`.
        """
        if asked.deadline is not None and asked.deadline < time.monotonic():
            self._metrics.expired(choice.model.name)
            raise DeadlineExceeded
        (answered,) = self._answer(choice.model, [asked], choice.variant, choice.shadow)
        if isinstance(answered, Refusal):
            raise answered
        return answered

    def _turn(self, loop: asyncio.AbstractEventLoop, model: LoadedModel, lane: _Lane, turns: int) -> None:
        """Answer what waits: here where the model is quick, else in a thread.

        As long as bodies are arriving, the loop may turn a few times first: they are there within microseconds.
        """
        if turns and self.coming and lane.rows < MOST_BATCH_ROWS:
            loop.call_soon(self._turn, loop, model, lane, turns - 1)
            return
        batch = _next_batch(lane)
        if model.is_quick:
            _deliver(batch, self._answer_waiting(model, batch))
            self._go_on(loop, model, lane)
        else:
            answering = loop.run_in_executor(self._threads, self._answer_waiting, model, batch)
            answering.add_done_callback(lambda done: self._finish(loop, model, lane, batch, done))

    def _finish(
        self,
        loop: asyncio.AbstractEventLoop,
        model: LoadedModel,
        lane: _Lane,
        batch: Sequence[_Waiting],
        done: asyncio.Future[list[Inference | Refusal]],
    ) -> None:
        error = done.exception()
        _deliver(batch, done.result() if error is None else [ModelFailed(model.name, model.version)] * len(batch))
        self._go_on(loop, model, lane)

    def _go_on(self, loop: asyncio.AbstractEventLoop, model: LoadedModel, lane: _Lane) -> None:
        if lane.waiting:
            loop.call_soon(self._turn, loop, model, lane, 0)
        else:
            lane.is_busy = False
            # Or a version that was swapped out would never be let go.
            del self._lanes[model]

    def _answer_waiting(self, model: LoadedModel, batch: Sequence[_Waiting]) -> list[Inference | Refusal]:
        """What becomes of each question. Those whose asker has gone are not worth the model's time."""
        now = time.monotonic()
        outcomes: dict[int, Inference | Refusal] = {}
        groups: dict[tuple[object, ...], list[int]] = {}
        for position, waiting in enumerate(batch):
            deadline = waiting.asked.deadline
            if deadline is not None and deadline < now:
                self._metrics.expired(model.name)
                outcomes[position] = DeadlineExceeded()
            else:
                groups.setdefault(_kind(position, waiting), []).append(position)
        for positions in groups.values():
            first = batch[positions[0]]
            answers = self._answer(model, [batch[p].asked for p in positions], first.variant, first.shadow)
            for position, answer in zip(positions, answers, strict=True):
                outcomes[position] = answer
        return [outcomes[position] for position in range(len(batch))]

    def _answer(
        self, model: LoadedModel, asked: Sequence[Asked], variant: Variant, shadow: LoadedModel | None
    ) -> Sequence[Inference | Refusal]:
        """What becomes of questions whose tables have the same columns.

        They are read as one table; where that is refused, each is read alone, so that it is told of its own fault
        and no other suffers from it.
        """
        started_ns = time.time_ns() if self._trails is not None else 0
        try:
            counts = [_row_count(one.question.table) for one in asked]
            rows = model.reader.read(_joined([one.question.table for one in asked]))
            answer = _score(model, rows, asked)
        except Refusal as refusal:
            if len(asked) > 1:
                return [self._answer(model, [one], variant, shadow)[0] for one in asked]
            self._metrics.refused(model.name, model.version)
            if self._trails is not None:
                count = _row_count(asked[0].question.table)
                self._trails.refused(model, variant, asked[0], count, started_ns, refusal)
            return [refusal]
        batch = AnsweredBatch(model, variant, rows, answer, asked, counts, time.time_ns())
        if self._trails is not None:
            self._trails.answered(batch, started_ns)
        recorded = batch.recorded()
        if recorded is not None:
            self._recorder.record(recorded)
        if shadow is not None:
            self._shadow.ask(shadow, batch)
        model.keep_recent(rows.batch)
        seconds = [(batch.answered_ns - one.received_ns) / 1e9 for one in asked]
        self._metrics.answered(model.name, model.version, len(answer), seconds)
        return _parts(model, rows, answer, asked, counts)


def _next_batch(lane: _Lane) -> list[_Waiting]:
    """The questions that wait longest, up to the most rows of a batch, but at least one."""
    batch = [lane.waiting.popleft()]
    rows = batch[0].rows
    while lane.waiting and rows + lane.waiting[0].rows <= MOST_BATCH_ROWS:
        batch.append(lane.waiting.popleft())
        rows += batch[-1].rows
    lane.rows -= rows
    return batch


def _deliver(batch: Sequence[_Waiting], outcomes: Sequence[Inference | Refusal]) -> None:
    for waiting, outcome in zip(batch, outcomes, strict=True):
        if waiting.answered.done():  # whoever asked has gone
            continue
        if isinstance(outcome, Refusal):
            waiting.answered.set_exception(outcome)
        else:
            waiting.answered.set_result(outcome)


def _kind(position: int, waiting: _Waiting) -> tuple[object, ...]:
    """What questions must have in common to be read as one table; one of typed arrays stands alone."""
    table = waiting.asked.question.table
    if not set(map(type, table.values())) <= _PLAIN:
        return (position,)
    return (*table, waiting.variant, waiting.shadow)


def _row_count(table: Table) -> int:
    return len(next(iter(table.values()), ()))


def _joined(tables: Sequence[Table]) -> Table:
    """The rows of several tables of the same columns, one after the other."""
    if len(tables) == 1:
        return tables[0]
    for table in tables:
        if len(set(map(len, table.values()))) > 1:
            raise Refusal("The columns differ in length.")  # seen by nobody: each is read alone now
    return {name: list(chain.from_iterable(map(itemgetter(name), tables))) for name in tables[0]}


def _score(model: LoadedModel, rows: Rows, asked: Sequence[Asked]) -> Answer:
    try:
        answer = model.scorer.score(rows.batch)
    except Exception as error:
        who = about(*(one.request_id for one in asked))
        logger.exception("%s v%s failed on %s rows", model.name, model.version, rows.batch.rows, extra=who)
        raise ModelFailed(model.name, model.version) from error
    if len(answer) != rows.batch.rows or not np.isfinite(answer).all():
        who = about(*(one.request_id for one in asked))
        logger.error(
            "%s v%s answered %s rows with no finite number", model.name, model.version, rows.batch.rows, extra=who
        )
        raise ModelFailed(model.name, model.version)
    return answer


def _parts(
    model: LoadedModel, rows: Rows, answer: Answer, asked: Sequence[Asked], counts: Sequence[int]
) -> list[Inference]:
    """The answer to each question, cut from the answer to all of them."""
    if len(asked) == 1:
        return [Inference(model, answer, asked[0].request_id, asked[0].question.wants, rows.ids)]
    parts, start = [], 0
    for one, count in zip(asked, counts, strict=True):
        end = start + count
        ids = rows.ids[start:end] if rows.ids is not None else None
        parts.append(Inference(model, answer[start:end], one.request_id, one.question.wants, ids))
        start = end
    return parts
