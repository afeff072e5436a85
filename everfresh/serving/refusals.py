"""What the server says no to: each refusal writes its own sentence and carries the status of its answer.

A refusal never repeats more than 200 characters of a request and tells nothing about the server's insides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType


class Refusal(Exception):
    """A request that is answered with an error.

    Attributes:
        status: the HTTP status; other transports map it.
        code: a word that programs can rely on.
        headers: what HTTP says beside it.
        field: the part of the request that is at fault, if one is.
    """

    status = 400
    code = "bad_request"
    headers: Mapping[str, str] = MappingProxyType({})

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class BadJson(Refusal):
    """The body is not JSON."""

    code = "bad_json"

    def __init__(self, why: str, offset: int) -> None:
        super().__init__(f"The body is not JSON: {why} (byte {offset}).")


class NonFinite(Refusal):
    """A literal that JSON does not have."""

    code = "non_finite"

    def __init__(
        self, offset: int, what: str = "NaN and Infinity are not JSON; a missing value is written as null"
    ) -> None:
        super().__init__(f"{what} (byte {offset}).")


class HugeNumber(NonFinite):
    """A number that float64 has only infinity for."""

    def __init__(self, offset: int) -> None:
        super().__init__(offset, "A number is beyond what float64 can hold")


class TooDeep(Refusal):
    """JSON nested so deeply that only an attack would write it."""

    code = "too_deep"

    def __init__(self) -> None:
        super().__init__("The body is nested too deeply.")


class BadEncoding(Refusal):
    """Text that is not UTF-8."""

    code = "bad_encoding"

    def __init__(self) -> None:
        super().__init__("The body is not UTF-8.")


class Malformed(Refusal):
    """JSON that is not the shape that this path takes."""

    code = "malformed"


class EmptyBatch(Refusal):
    """A request without rows."""

    code = "empty_batch"

    def __init__(self) -> None:
        super().__init__("The request has no rows.")


class UnsupportedContent(Refusal):
    """A kind of body that this path does not take."""

    status = 415
    code = "unsupported_content"

    def __init__(self, what: str, allowed: Sequence[str]) -> None:
        super().__init__(f"This path does not take {shortened(what)}; send {' or '.join(allowed)}.")


class TooLarge(Refusal):
    """A body over the limit."""

    status = 413
    code = "too_large"

    def __init__(self, most_bytes: int) -> None:
        super().__init__(f"The body is larger than {most_bytes:,} bytes. Send fewer rows in one request.")


class TooManyRows(Refusal):
    """More rows than one request may have."""

    status = 413
    code = "batch_too_large"

    def __init__(self, rows: int, most: int) -> None:
        super().__init__(f"The request has {rows:,} rows, and one request may have {most:,}.")


class TooSlow(Refusal):
    """A body that did not arrive in time."""

    status = 408
    code = "too_slow"

    def __init__(self, seconds: float) -> None:
        super().__init__(f"The body did not arrive within {seconds:g} s.")


class NotFound(Refusal):
    """No such path."""

    status = 404
    code = "not_found"

    def __init__(self, path: str) -> None:
        super().__init__(f"There is no {shortened(path)} here; see /v2.")


class MethodNotAllowed(Refusal):
    """The path is there, and not for this method."""

    status = 405
    code = "method_not_allowed"

    def __init__(self, method: str, allowed: Sequence[str]) -> None:
        self.headers = {"allow": ", ".join(allowed)}
        super().__init__(f"This path takes {' and '.join(allowed)}, not {shortened(method)}.")


class UnknownModel(Refusal):
    """No model of that name is served."""

    status = 404
    code = "unknown_model"

    def __init__(self, name: str, served: Sequence[str]) -> None:
        there = f"Served are: {', '.join(served)}." if served else "No model is served yet."
        super().__init__(f"There is no model {shortened(name)!r}. {there}")


class UnknownVersion(Refusal):
    """The model is served in other versions."""

    status = 404
    code = "unknown_version"

    def __init__(self, name: str, version: str, served: Sequence[int], aliases: Sequence[str] = ()) -> None:
        numbers = f"version {served[0]} is" if len(served) == 1 else f"versions {', '.join(map(str, served))} are"
        also = f" Aliases: {', '.join(aliases)}." if aliases else ""
        super().__init__(f"Version {shortened(version)} of {name!r} is not served; {numbers}.{also}")


class NoBundle(Refusal):
    """A version that does not lie on the server."""

    status = 404
    code = "no_bundle"

    def __init__(self, name: str, version: int, there: Sequence[int]) -> None:
        known = f"There are versions {', '.join(map(str, there))}." if there else "There is none of it."
        super().__init__(f"Version {version} of {shortened(name)!r} does not lie on this server. {known}")


class NotBrought(Refusal):
    """Versions that lie on the server and cannot be served."""

    status = 409
    code = "not_brought"

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{shortened(name)!r} serves what it served before: {reason.rstrip('.')}.")


class WhichModel(Refusal):
    """A path that names no model, on a server of several."""

    code = "which_model"

    def __init__(self, served: Sequence[str]) -> None:
        super().__init__(f"The server has several models: {', '.join(served)}. Name one in the header X-Model.")


class NotReady(Refusal):
    """No model is loaded yet."""

    status = 503
    headers = MappingProxyType({"retry-after": "1"})
    code = "not_ready"

    def __init__(self) -> None:
        super().__init__("No model is loaded yet.")


class Overloaded(Refusal):
    """More requests wait than the server will answer in reasonable time."""

    status = 503
    headers = MappingProxyType({"retry-after": "1"})
    code = "overloaded"

    def __init__(self) -> None:
        super().__init__("The server has more requests waiting than it can answer soon. Try again in a second.")


class DeadlineExceeded(Refusal):
    """The asker does not wait any more, so nothing was computed."""

    status = 504
    code = "deadline_exceeded"

    def __init__(self) -> None:
        super().__init__("The request waited longer than its own time limit, and was not started.")


class BadHeader(Refusal):
    """A header that says something impossible."""

    code = "bad_header"

    def __init__(self, name: str, value: str, wanted: str) -> None:
        super().__init__(f"The header {name} is {shortened(value)!r}, which is not {wanted}.", field=name)


class BadRows(Refusal):
    """Rows that the model's columns do not allow."""

    status = 422
    code = "bad_rows"


class MissingColumns(BadRows):
    """Features that the request lacks."""

    code = "missing_column"

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(f"The request lacks {_columns(names)}.", field=names[0])


class UnknownColumns(BadRows):
    """Columns that the model does not know."""

    code = "unknown_column"

    def __init__(self, names: Sequence[str], known: Sequence[str]) -> None:
        super().__init__(
            f"The model does not know {_columns([shortened(name) for name in names])}; it reads {', '.join(known)}.",
            field=shortened(names[0]),
        )


class DuplicateKey(BadRows):
    """A key that is there twice in one object of the body: nobody knows which of its values was meant."""

    code = "duplicate_key"

    def __init__(self, name: str | None) -> None:
        what = "A key" if name is None else f"The key {shortened(name)!r}"
        super().__init__(f"{what} is there twice in one object.", field=None if name is None else shortened(name))


class UnequalColumns(BadRows):
    """Columns of different lengths."""

    code = "unequal_columns"

    def __init__(self, name: str, rows: int, others: int) -> None:
        super().__init__(f"The column {name!r} has {rows} values, and others have {others}.", field=name)


class BadValue(BadRows):
    """A value that a column does not allow; `row` counts from 0."""

    code = "bad_value"

    def __init__(self, column: str, row: int, value: object, wanted: str) -> None:
        super().__init__(f"Column {column!r}, row {row}: {_shown(value)} is not {wanted}.", field=column)


class OutOfRange(BadValue):
    """A number that float64 cannot hold exactly, or that the column's limits exclude."""

    code = "out_of_range"


class ModelFailed(Refusal):
    """The model raised, or answered what no model may."""

    status = 500
    code = "model_failed"

    def __init__(self, name: str, version: int) -> None:
        super().__init__(f"Version {version} of {name!r} failed on this request; the server's log says why.")


class InternalError(Refusal):
    """What nobody planned."""

    status = 500
    code = "internal"

    def __init__(self) -> None:
        super().__init__("The server failed on this request; its log says why.")


class StorageFailed(Refusal):
    """The disk refused what the server was to keep."""

    status = 507
    code = "storage_failed"

    def __init__(self, what: str) -> None:
        super().__init__(f"The {what} could not be stored, and none of them was. Send them again later.")


def shortened(text: str) -> str:
    r"""At most 80 characters, and none that could forge a line of a log.

    >>> shortened("a\nb")
    'a b'
    """
    plain = "".join(character if character.isprintable() else " " for character in text[:81])
    return plain if len(plain) <= 80 else f"{plain[:79]}…"


def _shown(value: object) -> str:
    """A value of a request as JSON would write it. What is nested is only named: writing it out could go very deep."""
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, dict):
        return "an object"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return shortened(repr(value[:81] if isinstance(value, str) else value))


def _columns(names: Sequence[str]) -> str:
    listed = ", ".join(repr(name) for name in names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    return f"the column {listed}" if len(names) == 1 else f"the columns {listed}"
