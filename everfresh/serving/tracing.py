"""OpenTelemetry traces: a span for every request, and below it one for the batch that it was answered in.

Nothing of OpenTelemetry is imported before the standard variables ask for it; see `open_tracer`. Spans are sent in
batches by a thread of OpenTelemetry's own, which drops them where the collector is slower than the requests.

Source: OpenTelemetry, "Semantic conventions for HTTP spans", and "OpenTelemetry environment variables".
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Protocol

import everfresh
from everfresh.errors import InvalidSetting, MissingExtra

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
    from opentelemetry.trace import Span

# What is not sent by then is lost: a server that ends does not wait for a collector that is away.
CLOSE_SECONDS = 2.0

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_MODULES = ("opentelemetry.sdk.trace", "opentelemetry.exporter.otlp.proto.http")
_WHAT = "Tracing by OpenTelemetry"
_METHODS = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"})


class Scope(Protocol):
    """What the HTTP server says about a request, by its RSGI interface."""

    method: str
    path: str
    scheme: str
    http_version: str
    client: str
    headers: Any


def exporter_of(environment: Mapping[str, str]) -> str | None:
    """Where traces go: `otlp`, `console`, or nowhere, which is None.

    >>> exporter_of({}), exporter_of({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"})
    (None, 'otlp')

    Raises:
        InvalidSetting: the standard variables ask for what is not there.
    """
    if environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return None
    implied = "otlp" if any(environment.get(name) for name in _ENDPOINTS) else "none"
    exporter = environment.get("OTEL_TRACES_EXPORTER") or implied
    if exporter not in ("otlp", "console", "none"):
        raise InvalidSetting("OTEL_TRACES_EXPORTER", exporter, "otlp, console or none")
    for name in _PROTOCOLS if exporter == "otlp" else ():
        if environment.get(name, "http/protobuf") != "http/protobuf":
            raise InvalidSetting(name, environment[name], "http/protobuf")
    return exporter if exporter != "none" else None


def check_tracing(environment: Mapping[str, str] = os.environ) -> None:
    """Make sure that `open_tracer` can do what the variables ask for; imports nothing of OpenTelemetry.

    Raises:
        InvalidSetting: the standard variables ask for what is not there.
        MissingExtra: OpenTelemetry is not installed.
    """
    exporter = exporter_of(environment)
    needed = _MODULES if exporter == "otlp" else _MODULES[:1]
    if exporter is not None and not all(map(_is_installed, needed)):
        raise MissingExtra(_WHAT, extra="otel")


def open_tracer(environment: Mapping[str, str] = os.environ) -> Tracer | None:
    """What makes spans, or None where no variable asks for any. To be called in the process that answers requests.

    Further variables, such as those of the sampler, are read by OpenTelemetry itself.

    Raises:
        InvalidSetting: the standard variables ask for what is not there.
        MissingExtra: OpenTelemetry is not installed.
    """
    exporter = exporter_of(environment)
    if exporter is None:
        return None
    try:
        return Tracer(_provider(_processor(exporter), environment))
    except ModuleNotFoundError as error:
        raise MissingExtra(_WHAT, extra="otel") from error


class Tracer:
    """Makes the spans of requests and of batches. It is safe to use from several threads."""

    def __init__(self, provider: TracerProvider) -> None:
        from opentelemetry.trace import Link, SpanKind, Status, StatusCode, set_span_in_context
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._provider = provider
        self._tracer = provider.get_tracer("everfresh.serving", everfresh.__version__)
        self._propagator = TraceContextTextMapPropagator()
        self._below = set_span_in_context
        self._link = Link
        self._server = SpanKind.SERVER
        self._error = Status(StatusCode.ERROR)

    def request(self, scope: Scope, pattern: str | None, request_id: str, started_ns: int) -> Span | None:
        """The span of a request, below the one that its `traceparent` names; None where it is not sampled.

        Args:
            scope: the request.
            pattern: the pattern of its path; None where it has none.
            request_id: its id.
            started_ns: when it came, in nanoseconds since 1970.
        """
        method = scope.method if scope.method in _METHODS else "_OTHER"
        attributes = {
            "http.request.method": method,
            "url.path": scope.path,
            "url.scheme": scope.scheme,
            "network.protocol.version": scope.http_version,
            "client.address": scope.client.rpartition(":")[0] or scope.client,
            "everfresh.request_id": request_id,
        }
        if pattern is not None:
            attributes["http.route"] = pattern
        if (agent := scope.headers.get("user-agent")) is not None:
            attributes["user_agent.original"] = agent
        said = {name: text for name in ("traceparent", "tracestate") if (text := scope.headers.get(name)) is not None}
        verb = "HTTP" if method == "_OTHER" else method
        span = self._tracer.start_span(
            f"{verb} {pattern}" if pattern is not None else verb,
            context=self._propagator.extract(said) if said else None,
            kind=self._server,
            attributes=attributes,
            start_time=started_ns,
        )
        return span if span.is_recording() else None

    def end(self, span: Span, status: int, error: BaseException | None, facts: Mapping[str, str | int]) -> None:
        """End the span of a request. What was wrong with a request is no error of the server's.

        Args:
            span: the span.
            status: the HTTP status that was answered.
            error: why it was not answered as it asked.
            facts: what came out only while it was answered.
        """
        span.set_attributes({"http.response.status_code": status, **facts})
        if status >= 400:
            span.set_attribute("error.type", _kind(error) if error is not None else str(status))
        if status >= 500:
            span.set_status(self._error)
            if error is not None:
                span.record_exception(error)
        span.end()

    def batch(
        self,
        spans: Sequence[Span],
        facts: Mapping[str, str | int],
        started_ns: int,
        ended_ns: int,
        error: BaseException | None = None,
    ) -> None:
        """The spans of a batch: one below each request that was answered in it.

        The first of them is linked to all the requests, and the others are linked to the first.

        Args:
            spans: those of the requests.
            facts: what is to be known about the batch.
            started_ns: when the model's turn came, in nanoseconds since 1970.
            ended_ns: when the answers were there.
            error: why there are none.
        """
        links = [self._link(span.get_span_context()) for span in spans]
        for position, span in enumerate(spans):
            made = self._tracer.start_span(
                "answer",
                context=self._below(span),
                attributes=facts,
                links=links[1:] if position == 0 else links[:1],
                start_time=started_ns,
            )
            if position == 0:
                links[0] = self._link(made.get_span_context())
            if error is not None:
                made.set_attribute("error.type", _kind(error))
                if getattr(error, "status", 500) >= 500:
                    made.set_status(self._error)
            made.end(ended_ns)

    def close(self) -> None:
        """Send what is left, but do not wait for long."""
        sending = threading.Thread(target=self._provider.shutdown, name="traces", daemon=True)
        sending.start()
        sending.join(CLOSE_SECONDS)


def _kind(error: BaseException) -> str:
    """What an error is called: by its code, if it has one."""
    return str(getattr(error, "code", None) or type(error).__qualname__)


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def _processor(exporter: str) -> SpanProcessor:
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter

    if exporter == "console":
        return BatchSpanProcessor(
            ConsoleSpanExporter(out=sys.stdout, formatter=lambda span: f"{span.to_json(indent=None)}\n")
        )
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return BatchSpanProcessor(OTLPSpanExporter())


def _provider(processor: SpanProcessor, environment: Mapping[str, str]) -> TracerProvider:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider

    facts: dict[str, str | int] = {"service.version": everfresh.__version__, "process.pid": os.getpid()}
    is_named = environment.get("OTEL_SERVICE_NAME") or "service.name=" in environment.get(
        "OTEL_RESOURCE_ATTRIBUTES", ""
    )
    if not is_named:
        facts["service.name"] = "everfresh"
    provider = TracerProvider(resource=Resource.create(facts), shutdown_on_exit=False)
    provider.add_span_processor(processor)
    return provider
