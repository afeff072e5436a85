"""The application that the HTTP server calls: limits, routing, and one shape for every error."""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from granian.rsgi import ProtocolClosed

from everfresh.serving.dataplane import DataPlane
from everfresh.serving.http import health, invocations, labels, v2
from everfresh.serving.http.messages import Headers, Request, Response, refusal_response
from everfresh.serving.http.routes import Match, Route, Router
from everfresh.serving.labels import LabelStore
from everfresh.serving.metrics import Metrics
from everfresh.serving.models import LoadedModel
from everfresh.serving.refusals import (
    MethodNotAllowed,
    Overloaded,
    Refusal,
    TooLarge,
    TooSlow,
    UnsupportedContent,
)
from everfresh.serving.watcher import StateWatcher

logger = logging.getLogger(__name__)

MOST_BYTES = 16 * 1024 * 1024
BODY_SECONDS = 30.0
# Larger bodies are decoded and answered in a thread, so that small ones do not wait behind them.
INLINE_BYTES = 32 * 1024
MOST_WAITING = 128
THREADS = 2

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")


class HttpApp:
    """Answers HTTP requests with a data plane. It is what granian calls, by its RSGI interface."""

    def __init__(self, plane: DataPlane, watcher: StateWatcher, store: LabelStore, metrics: Metrics) -> None:
        self._plane = plane
        self._watcher = watcher
        self._store = store
        self._metrics = metrics
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="answers")
        self._waiting = 0
        self._router = Router(self._routes())

    def close(self) -> None:
        """Let the requests that run in threads end."""
        self._threads.shutdown()

    async def handle(self, scope: Any, protocol: Any) -> None:
        """Answer one request."""
        if scope.proto != "http":
            protocol.close(403)
            return
        request_id = _request_id(scope.headers)
        try:
            response = await self._respond(scope, protocol, request_id)
        except ProtocolClosed:
            return
        except Refusal as refusal:
            response = refusal_response(refusal, request_id, _headers_of(refusal))
        except Exception:
            logger.exception("Request %s failed", request_id)
            response = refusal_response(_internal_error(), request_id)
        self._metrics.responded(response.status)
        headers = [("content-type", response.content_type), ("x-request-id", request_id), *response.headers.items()]
        protocol.response_bytes(response.status, headers, response.body if scope.method != "HEAD" else b"")

    async def _respond(self, scope: Any, protocol: Any, request_id: str) -> Response:
        # HEAD is GET without the body, everywhere; load balancers ask so.
        match = self._router.find("GET" if scope.method == "HEAD" else scope.method, scope.path)
        body = await _body(scope.headers, protocol) if match.route.method == "POST" else b""
        request = Request(scope.method, scope.path, scope.headers, body, request_id)
        if not self._is_slow(match, request):
            return match.route.handler(request, match.names)
        if self._waiting >= MOST_WAITING:
            raise Overloaded
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._threads, match.route.handler, request, match.names)
        finally:
            self._waiting -= 1

    def _is_slow(self, match: Match, request: Request) -> bool:
        if match.route.blocks or len(request.body) > INLINE_BYTES:
            return True
        return match.route.method == "POST" and not all(m.is_quick for m in self._plane.models.current.values())

    def _routes(self) -> list[Route]:
        model = "/v2/models/{name}"
        version = f"{model}/versions/{{version}}"
        return [
            Route("GET", "/v2", lambda request, names: v2.server_metadata()),
            Route("GET", "/v2/health/live", lambda request, names: health.live()),
            Route("GET", "/v2/health/ready", lambda request, names: health.ready(self._watcher.is_ready)),
            Route("GET", "/v2/models", lambda request, names: v2.list_models(self._plane)),
            *(
                route
                for path in (model, version)
                for route in (
                    Route("GET", path, lambda request, names: v2.model_metadata(self._named(names))),
                    Route("GET", f"{path}/ready", lambda request, names: health.ready(bool(self._named(names)))),
                    Route("POST", f"{path}/infer", self._infer),
                )
            ),
            Route("POST", f"{model}/labels", self._accept_labels, blocks=True),
            Route("POST", "/invocations", self._invoke),
            Route("GET", "/ping", lambda request, names: health.ping(self._watcher.is_ready)),
            Route("GET", "/health/live", lambda request, names: health.live()),
            Route("GET", "/health/ready", lambda request, names: health.ready(self._watcher.is_ready)),
            Route("GET", "/metrics", self._read_metrics),
        ]

    def _infer(self, request: Request, names: Mapping[str, str]) -> Response:
        return v2.infer(self._plane, self._named(names), request)

    def _invoke(self, request: Request, names: Mapping[str, str]) -> Response:
        wanted = request.headers.get("x-model")
        model = self._plane.models.find(wanted) if wanted else self._plane.models.only()
        return invocations.invoke(self._plane, model, request)

    def _accept_labels(self, request: Request, names: Mapping[str, str]) -> Response:
        return labels.accept_labels(self._store, self._named(names), request)

    def _read_metrics(self, request: Request, names: Mapping[str, str]) -> Response:
        text = self._metrics.text(self._plane.models.versions())
        return Response(200, text.encode(), "text/plain; version=0.0.4; charset=utf-8")

    def _named(self, names: Mapping[str, str]) -> LoadedModel:
        return self._plane.models.find(names["name"], names.get("version"))


async def _body(headers: Headers, protocol: Any) -> bytes:
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
    try:
        async with asyncio.timeout(BODY_SECONDS):
            if length is not None:
                whole: bytes = await protocol()
                return whole
            return await _chunks(protocol)
    except TimeoutError:
        raise TooSlow(BODY_SECONDS) from None


async def _chunks(protocol: Any) -> bytes:
    body = bytearray()
    async for chunk in protocol:
        body += chunk
        if len(body) > MOST_BYTES:
            raise TooLarge(MOST_BYTES)
    return bytes(body)


def _request_id(headers: Headers) -> str:
    """The sender's id where it is fit for a log line, else a new one."""
    given = headers.get("x-request-id")
    return given if given and _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)


def _headers_of(refusal: Refusal) -> dict[str, str]:
    if isinstance(refusal, MethodNotAllowed):
        return {"allow": ", ".join(refusal.allowed)}
    return {"retry-after": "1"} if refusal.status == 503 else {}


def _internal_error() -> Refusal:
    error = Refusal("The server failed on this request; its log says why.")
    error.status, error.code = 500, "internal"
    return error
