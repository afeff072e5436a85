"""The application that the HTTP server calls: limits, routing, and one shape for every error."""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count
from typing import Any

from granian.rsgi import ProtocolClosed

from everfresh.serving.access.policy import AccessPolicy
from everfresh.serving.dataplane import DataPlane
from everfresh.serving.http.arrivals import Arrivals
from everfresh.serving.http.codec import Codec
from everfresh.serving.http.messages import Headers, Request, Response
from everfresh.serving.http.refusing import refused
from everfresh.serving.http.routes import Match, Route, Router
from everfresh.serving.inference import Asked
from everfresh.serving.logs import about
from everfresh.serving.metrics.counting import IN_FLIGHT, WAITING_ROWS, Metrics
from everfresh.serving.questions.question import Question
from everfresh.serving.refusals import (
    BadHeader,
    InternalError,
    Overloaded,
    Refusal,
    TooLarge,
    TooSlow,
    UnsupportedContent,
)
from everfresh.serving.trails import CLIENT_GONE, Trail, Trails
from everfresh.serving.versions.models import Choice

logger = logging.getLogger(__name__)

MOST_BYTES = 16 * 1024 * 1024
BODY_SECONDS = 30.0
# Larger bodies are decoded and answered in a thread, so that small ones do not wait behind them.
INLINE_BYTES = 32 * 1024
MOST_WAITING = 128
ASIDE_THREADS = 2
TIMEOUT_HEADERS = ("x-request-timeout-ms", "x-envoy-expected-rq-timeout-ms")

Told = tuple[tuple[str, str], ...]
"""What the headers of an answer say about the model."""

_WITH_BODY = ("POST", "PUT")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")


class HttpApp:
    """Answers HTTP requests with a data plane. It is what granian calls, by its RSGI interface."""

    def __init__(
        self,
        plane: DataPlane,
        routes: Sequence[Route],
        metrics: Metrics,
        threads: ThreadPoolExecutor,
        access: AccessPolicy,
        trails: Trails | None = None,
    ) -> None:
        self._plane = plane
        self._router = Router(routes)
        self._metrics = metrics
        self._access = access
        self._threads = threads
        self._trails = trails
        # Handlers that wait for a disk or for other workers: large bodies are not to wait behind them.
        self._aside = ThreadPoolExecutor(ASIDE_THREADS, thread_name_prefix="aside")
        self._waiting = 0
        self._in_flight = 0
        self._arrivals = Arrivals(BODY_SECONDS)
        # No draw of lots for each request: the prefix is this worker's, the number is the request's.
        self._id_prefix = secrets.token_hex(6)
        self._id_numbers = count(1)
        metrics.look_at(IN_FLIGHT, lambda: {(): float(self._in_flight)})
        metrics.look_at(WAITING_ROWS, plane.waiting_rows)

    def close(self) -> None:
        """Let what runs in threads end."""
        self._aside.shutdown()

    async def handle(self, scope: Any, protocol: Any) -> None:
        """Answer one request."""
        if scope.proto != "http":
            protocol.close(403)
            return
        request_id = self._request_id(scope.headers)
        self._in_flight += 1
        told: Told = ()
        trail = self._trails.begin(scope, request_id) if self._trails is not None else None
        error: Exception | None = None
        try:
            response, told = await self._respond(scope, protocol, request_id, trail)
        except ProtocolClosed:
            if trail is not None:
                trail.ended(CLIENT_GONE)
            return
        except Refusal as refusal:
            error = refusal
            response = refused(refusal, scope.method, scope.path, request_id)
            told = tuple(refusal.headers.items())
        except Exception as failure:
            error = failure
            logger.exception("A request failed", extra=about(request_id))
            response = refused(InternalError(), scope.method, scope.path, request_id)
        finally:
            self._in_flight -= 1
        self._metrics.responded(response.status)
        headers = [("content-type", response.content_type), ("x-request-id", request_id), *told]
        if response.headers:
            headers += response.headers.items()
        protocol.response_bytes(response.status, headers, response.body if scope.method != "HEAD" else b"")
        if trail is not None:
            trail.ended(response.status, error)

    async def _respond(self, scope: Any, protocol: Any, request_id: str, trail: Trail | None) -> tuple[Response, Told]:
        received_ns = time.time_ns()
        method: str = scope.method
        match = self._allowed(scope, method, trail)
        answer = match.route.answer
        if isinstance(answer, Codec):
            self._plane.coming += 1
            try:
                body = await self._body(scope.headers, protocol)
            finally:
                self._plane.coming -= 1
            request = Request(method, scope.path, scope.headers, body, request_id)
            return await self._infer(answer, request, match.names, received_ns, trail)
        body = await self._body(scope.headers, protocol) if method in _WITH_BODY else b""
        request = Request(method, scope.path, scope.headers, body, request_id)
        if match.route.blocks or len(body) > INLINE_BYTES:
            return await self._in_thread(self._aside, answer, request, match.names), ()
        return answer(request, match.names), ()

    async def _infer(
        self, codec: Codec, request: Request, names: Mapping[str, str], received_ns: int, trail: Trail | None
    ) -> tuple[Response, Told]:
        choice = self._choose(request, names)
        timeout_s = _timeout_s(request.headers)
        if len(request.body) > INLINE_BYTES:
            alone = partial(self._answer_alone, codec, request, choice, received_ns, timeout_s, trail)
            response = await self._in_thread(self._threads, alone)
        else:
            asked = _asked(codec.read(request, choice.model), request, received_ns, timeout_s, trail)
            response = codec.write(await self._plane.infer(choice, asked))
        return response, choice.model.told

    async def _body(self, headers: Headers, protocol: Any) -> bytes:
        """The body, never more of it than the limit.

        Raises:
            TooLarge: there is more; where the length is announced, nothing of it was read.
            TooSlow: it did not arrive in time.
            UnsupportedContent: it is compressed.
        """
        encoding = headers.get("content-encoding")
        if encoding and encoding.lower() != "identity":
            raise UnsupportedContent(f"content-encoding {encoding}", ["it uncompressed"])
        length = headers.get("content-length")
        if length is not None and length.isdigit() and int(length) > MOST_BYTES:
            raise TooLarge(MOST_BYTES)
        key = self._arrivals.begin()
        try:
            if length is not None:
                whole: bytes = await protocol()
                return whole
            return await _chunks(protocol)
        except asyncio.CancelledError:
            if self._arrivals.was_given_up(key):
                raise TooSlow(BODY_SECONDS) from None
            raise
        finally:
            self._arrivals.end(key)

    def _allowed(self, scope: Any, method: str, trail: Trail | None) -> Match:
        """The route, for somebody who may take it."""
        try:
            # HEAD is GET without the body, everywhere; load balancers ask so.
            match = self._router.find("GET" if method == "HEAD" else method, scope.path)
        except Refusal:
            # Strangers do not learn which paths there are.
            self._access.authorize(scope.headers, "describe", scope.authority)
            raise
        if trail is not None:
            trail.routed(match.route.pattern, match.route.needs)
        principal = self._access.authorize(scope.headers, match.route.needs, scope.authority)
        if trail is not None:
            trail.principal = principal.name
        return match

    def _answer_alone(
        self,
        codec: Codec,
        request: Request,
        choice: Choice,
        received_ns: int,
        timeout_s: float | None,
        trail: Trail | None,
    ) -> Response:
        """Decode, answer and encode a large body on this thread."""
        asked = _asked(codec.read(request, choice.model), request, received_ns, timeout_s, trail)
        return codec.write(self._plane.answer_now(choice, asked))

    def _choose(self, request: Request, names: Mapping[str, str]) -> Choice:
        models, headers = self._plane.models, request.headers
        name = names.get("name") or headers.get("x-model") or models.only()
        version = names.get("version") or headers.get("x-model-version")
        return models.served(name).choose(version, headers.get("x-routing-key"))

    def _request_id(self, headers: Headers) -> str:
        """The sender's id where it is fit for a log line, else a new one."""
        given: str | None = headers.get("x-request-id")
        if given is not None and _REQUEST_ID.fullmatch(given):
            return given
        return f"{self._id_prefix}{next(self._id_numbers):x}"

    async def _in_thread(self, threads: ThreadPoolExecutor, work: Callable[..., Response], *arguments: Any) -> Response:
        if self._waiting >= MOST_WAITING:
            raise Overloaded
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(threads, work, *arguments)
        finally:
            self._waiting -= 1


def _asked(
    question: Question, request: Request, received_ns: int, timeout_s: float | None, trail: Trail | None
) -> Asked:
    timeout_s = question.timeout_s or timeout_s
    deadline = None if timeout_s is None else time.monotonic() + timeout_s - (time.time_ns() - received_ns) / 1e9
    return Asked(question, question.id or request.id, received_ns, deadline, trail)


def _timeout_s(headers: Headers) -> float | None:
    """How long the asker waits, by its own header or by Envoy's.

    Raises:
        BadHeader: that is no time.
    """
    for name in TIMEOUT_HEADERS:
        text = headers.get(name)
        if text is not None:
            if not (text.isascii() and text.isdigit() and len(text) < 10):
                raise BadHeader(name, text, "a number of milliseconds")
            return int(text) / 1000
    return None


async def _chunks(protocol: Any) -> bytes:
    body = bytearray()
    async for chunk in protocol:
        body += chunk
        if len(body) > MOST_BYTES:
            raise TooLarge(MOST_BYTES)
    return bytes(body)
