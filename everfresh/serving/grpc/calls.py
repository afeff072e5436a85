"""What a call says beside its message: who calls, by what id, and how long they wait."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from everfresh.serving.inference import Asked
from everfresh.serving.questions.question import Question

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")


@dataclass(frozen=True)
class Call:
    """One call, or one message of a stream.

    Attributes:
        metadata: what was sent with it, by names in lower case; of what is there twice, the last.
        authorization: the one header of that name; None where there is none, or several.
        request_id: the caller's X-Request-Id, or one that the server made.
        received_ns: when it came, in nanoseconds since 1970.
        deadline: when the caller does not wait any more, on the monotonic clock.
    """

    metadata: Mapping[str, str]
    authorization: str | None
    request_id: str
    received_ns: int
    deadline: float | None

    def message(self, position: int) -> Call:
        """The message of a stream at that position, which has come now."""
        return replace(self, request_id=f"{self.request_id}.{position}", received_ns=time.time_ns())

    def asked(self, question: Question) -> Asked:
        """The question on its way; the sooner end of the caller's patience counts."""
        ends = [self.deadline] if self.deadline is not None else []
        if question.timeout_s is not None:
            ends.append(time.monotonic() + question.timeout_s - (time.time_ns() - self.received_ns) / 1e9)
        return Asked(question, question.id or self.request_id, self.received_ns, min(ends, default=None))


def read_call(sent: Sequence[tuple[str, str | bytes]], time_remaining: float | None) -> Call:
    """The call with that metadata, whose caller waits that many seconds more."""
    metadata = {name: value for name, value in sent if isinstance(value, str)}
    keys = [value for name, value in sent if name == "authorization" and isinstance(value, str)]
    given = metadata.get("x-request-id")
    return Call(
        metadata=metadata,
        authorization=keys[0] if len(keys) == 1 else None,
        request_id=given if given and _REQUEST_ID.fullmatch(given) else secrets.token_hex(8),
        received_ns=time.time_ns(),
        deadline=time.monotonic() + time_remaining if time_remaining is not None else None,
    )
