"""The status of a refusal."""

from __future__ import annotations

from collections.abc import Mapping

import grpc

from everfresh.serving.refusals import Refusal

# A sentence that names hundreds of columns would be more than clients accept at the end of a call.
LONGEST_SENTENCE = 2_000

_STATUSES: Mapping[int, grpc.StatusCode] = {
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.NOT_FOUND,
    408: grpc.StatusCode.DEADLINE_EXCEEDED,
    409: grpc.StatusCode.FAILED_PRECONDITION,
    412: grpc.StatusCode.FAILED_PRECONDITION,
    413: grpc.StatusCode.RESOURCE_EXHAUSTED,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    501: grpc.StatusCode.UNIMPLEMENTED,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
    507: grpc.StatusCode.RESOURCE_EXHAUSTED,
}


def status_of(refusal: Refusal) -> grpc.StatusCode:
    """What gRPC calls a refusal, by its HTTP status.

    >>> status_of(Refusal("The request has no rows.")).name
    'INVALID_ARGUMENT'
    """
    other = grpc.StatusCode.INTERNAL if refusal.status >= 500 else grpc.StatusCode.INVALID_ARGUMENT
    return _STATUSES.get(refusal.status, other)


def sentence_of(refusal: Refusal) -> str:
    """What a refusal says, and no more of it than a client accepts."""
    sentence = str(refusal)
    return sentence if len(sentence) <= LONGEST_SENTENCE else f"{sentence[: LONGEST_SENTENCE - 1]}…"
