"""What a method of a service is: its name, what whoever calls it must be allowed to do, and what answers it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from everfresh.serving.access.roles import Needs
from everfresh.serving.grpc.messages import Message
from everfresh.serving.inference import Inference
from everfresh.serving.questions.question import Question
from everfresh.serving.versions.models import LoadedModel

Handler = Callable[[Message], Message]


class Addressee(NamedTuple):
    """The model that a request names, and its version by number or alias; None where it does not."""

    name: str | None
    version: str | None


@dataclass(frozen=True)
class Codec:
    """How a request to a model is read and its answer written.

    Attributes:
        addressee: whom the request is for.
        read: the question in it.
        write: the answer as a message.
    """

    addressee: Callable[[Message], Addressee]
    read: Callable[[Message, LoadedModel], Question]
    write: Callable[[Inference], Message]


@dataclass(frozen=True)
class StreamCodec:
    """The same for many requests on one stream, where a refusal is a message, too.

    Attributes:
        codec: how each request is read and answered.
        answered: the message of an answer.
        refused: the message of a refusal, of its sentence.
    """

    codec: Codec
    answered: Callable[[Message], Message]
    refused: Callable[[str], Message]


@dataclass(frozen=True)
class Method:
    """One method of a service."""

    service: str
    name: str
    needs: Needs
    answer: Handler | Codec | StreamCodec
