"""A request and a response, as the HTTP transports see them, and JSON in between."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from everfresh.serving.access.hosts import Headers as Headers
from everfresh.serving.http.json_bodies import read_json
from everfresh.serving.refusals import Malformed, Refusal, UnsupportedContent

JSON = "application/json"


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

    @property
    def content_parameters(self) -> dict[str, str]:
        """What stands behind the kind of body, such as `charset`; names and values in lower case."""
        pairs = (part.partition("=") for part in (self.headers.get("content-type") or "").lower().split(";")[1:])
        return {name.strip(): value.strip(' "') for name, _, value in pairs}

    def preferred(self, offered: Sequence[str]) -> str:
        """Which of the kinds that a path can answer with the request asks for; the first where it asks for no other."""
        accepted: str | None = self.headers.get("accept")
        if accepted is None or accepted == "*/*" or accepted == offered[0]:
            return offered[0]
        kinds = (kind.split(";")[0].strip() for kind in accepted.lower().split(","))
        return next((kind for kind in kinds if kind in offered), offered[0])

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
