"""A question on its way, and its answer, in the terms of no protocol: what transports encode from.

What is made for every request is a named tuple: as frozen as a frozen dataclass, and made in a third of the time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np

from everfresh.packaging.batch import Answer
from everfresh.serving.questions.decoding import Rows
from everfresh.serving.questions.question import Question
from everfresh.serving.versions.models import LoadedModel, Variant


class Followed(Protocol):
    """What follows a request, where somebody wants to know what became of it."""

    span: Any

    def answered_by(self, model: str, version: int, rows: int) -> None:
        """Note which version was asked, and how many rows."""
        ...


class Asked(NamedTuple):
    """A question on its way through the data plane.

    Attributes:
        question: what is asked.
        request_id: the id of the request as a whole.
        received_ns: when it came, in nanoseconds since 1970.
        deadline: when nobody waits for the answer any more, on the monotonic clock.
        trail: what follows the request, where somebody wants to know what became of it.
    """

    question: Question
    request_id: str
    received_ns: int
    deadline: float | None = None
    trail: Followed | None = None


class Inference(NamedTuple):
    """The answer to one question.

    Attributes:
        model: the version that answered.
        answer: probabilities [rows, classes], or values [rows].
        request_id: the id of the request as a whole.
        wants: as in the question.
        row_ids: what the request calls its rows; None where it does not.
    """

    model: LoadedModel
    answer: Answer
    request_id: str
    wants: Any = None
    row_ids: Sequence[str] | None = None

    @property
    def rows(self) -> int:
        """How many rows were answered."""
        return len(self.answer)

    @property
    def ids(self) -> Sequence[str]:
        """The id of every row: the request's own, or the request's id and the number of the row."""
        return self.row_ids if self.row_ids is not None else made_ids(self.request_id, len(self.answer))

    @property
    def labels(self) -> list[str]:
        """The most probable class of each row; empty for regression."""
        classes = self.model.manifest.classes
        return [classes[position] for position in self.answer.argmax(axis=1).tolist()] if classes else []


@dataclass(frozen=True, slots=True)
class AnsweredBatch:
    """Questions that one version answered together: what the inference log keeps.

    Attributes:
        model: the version that answered.
        variant: how it came to answer.
        rows: the rows of all the questions, one after the other.
        answer: the answer to each row.
        asked: the questions.
        counts: how many rows each question has.
        answered_ns: when the answers were there, in nanoseconds since 1970.
    """

    model: LoadedModel
    variant: Variant
    rows: Rows
    answer: Answer
    asked: Sequence[Asked]
    counts: Sequence[int]
    answered_ns: int

    def recorded(self) -> AnsweredBatch | None:
        """The part that belongs into the log; None where none of it does."""
        return self.part([asked.question.record for asked in self.asked])

    def part(self, keep: Sequence[bool]) -> AnsweredBatch | None:
        """The questions for which `keep` holds; None where it holds for none."""
        if all(keep):
            return self
        if not any(keep):
            return None
        mask = np.repeat(keep, self.counts)
        return AnsweredBatch(
            model=self.model,
            variant=self.variant,
            rows=self.rows.where(mask),
            answer=self.answer[mask],
            asked=[asked for asked, kept in zip(self.asked, keep, strict=True) if kept],
            counts=[count for count, kept in zip(self.counts, keep, strict=True) if kept],
            answered_ns=self.answered_ns,
        )

    def row_ids(self) -> list[str]:
        """The id of every row."""
        if self.rows.ids is not None:
            return list(self.rows.ids)
        pairs = zip(self.asked, self.counts, strict=True)
        return [row_id for asked, count in pairs for row_id in made_ids(asked.request_id, count)]


def made_ids(request_id: str, rows: int) -> tuple[str, ...]:
    """Ids for rows that the request did not name.

    >>> made_ids("7f3a", 2)
    ('7f3a-0', '7f3a-1')
    """
    return tuple(f"{request_id}-{row}" for row in range(rows))
