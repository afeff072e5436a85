"""A request with its answer: what transports send back and what the log keeps."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from everfresh.packaging.batch import Answer
from everfresh.serving.decoding import Rows
from everfresh.serving.models import LoadedModel


@dataclass(frozen=True)
class Inference:
    """A request, the version that answered it, and the answer.

    Attributes:
        model: the version that answered.
        rows: what was asked.
        answer: probabilities [rows, classes], or values [rows].
        ids: the id of every row: the request's own, or the request's id and the number of the row.
        request_id: the id of the request as a whole.
        received: when it came, in UTC.
    """

    model: LoadedModel
    rows: Rows
    answer: Answer
    ids: tuple[str, ...]
    request_id: str
    received: datetime

    @property
    def labels(self) -> list[str]:
        """The most probable class of each row; empty for regression."""
        classes = self.model.manifest.classes
        return [classes[position] for position in self.answer.argmax(axis=1)] if classes else []
