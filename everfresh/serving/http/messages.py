"""A request and a response, as the HTTP transports see them, and JSON in between."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import orjson

from everfresh.serving.refusals import BadEncoding, BadJson, Malformed, NonFinite, Refusal, TooDeep, UnsupportedContent

JSON = "application/json"


class Headers(Protocol):
    """The headers of a request; names in lower case."""

    def get(self, key: str, default: Any = None) -> Any:
        """The value of a header."""
        ...


@dataclass(frozen=True)
class Request:
    """One HTTP request whose body has arrived. `id` is the sender's X-Request-Id, or one that the server made."""

    method: str
    path: str
    headers: Headers
    body: bytes
    id: str

    @property
    def content_type(self) -> str:
        """What the body is said to be, without parameters; JSON where nothing is said."""
        return (self.headers.get("content-type") or JSON).split(";")[0].strip().lower()

    def json(self) -> dict[str, Any]:
        """The body as a JSON object.

        Raises:
            UnsupportedContent: it is said to be something else.
            Refusal: it is not JSON, or no object.
        """
        if self.content_type != JSON:
            raise UnsupportedContent(self.content_type, [JSON])
        content = read_json(self.body)
        if not isinstance(content, dict):
            raise Malformed("The body is not a JSON object.")
        return content


@dataclass(frozen=True)
class Response:
    """One HTTP response."""

    status: int = 200
    body: bytes = b""
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)


def json_response(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A response whose body is `content`; numpy arrays are written as lists."""
    return Response(status, orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY), JSON, headers or {})


def refusal_response(refusal: Refusal, request_id: str, headers: Mapping[str, str] | None = None) -> Response:
    """The one shape of all errors: the sentence as V2 wants it, and beside it what programs look at."""
    content = {"error": str(refusal), "code": refusal.code, "request_id": request_id}
    if refusal.field is not None:
        content["field"] = refusal.field
    return json_response(content, refusal.status, headers)


def read_json(body: bytes) -> Any:
    """The JSON in `body`.

    Raises:
        Refusal: it is not JSON; which one says why.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise _json_refusal(body, error) from None


def _json_refusal(body: bytes, error: orjson.JSONDecodeError) -> Refusal:
    if "depth limit" in error.msg or "recursion" in error.msg.lower():
        return TooDeep()
    if not body.strip():
        return BadJson("it is empty", 0)
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return BadEncoding()
    if text.startswith("\ufeff"):
        return BadEncoding()
    offset = len(text[: error.pos].encode())
    if text[max(0, error.pos - 1) :].lstrip("+-, :[").startswith(("NaN", "Infinity")):
        return NonFinite(offset)
    return BadJson(error.msg.split(":")[0], offset)
