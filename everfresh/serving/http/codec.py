"""How a protocol writes down a question and its answer: two pure functions, so that large bodies can go to a thread."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from everfresh.serving.http.messages import Request, Response
from everfresh.serving.inference import Inference
from everfresh.serving.questions.question import Question
from everfresh.serving.versions.models import LoadedModel


@dataclass(frozen=True)
class Codec:
    """One protocol's way of asking and answering.

    Attributes:
        read: the question in a request to a model; raises a Refusal where there is none.
        write: the answer, in the words of the protocol.
    """

    read: Callable[[Request, LoadedModel], Question]
    write: Callable[[Inference], Response]
