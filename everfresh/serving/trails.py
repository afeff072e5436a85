"""What becomes of a request, for whoever wants to know afterwards: the access log, and traces."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from everfresh.serving.logs import access_logger, logs_access
from everfresh.serving.tracing import Scope, Tracer, check_tracing, open_tracer

if TYPE_CHECKING:
    from opentelemetry.trace import Span

    from everfresh.serving.access.roles import Needs
    from everfresh.serving.inference import AnsweredBatch, Asked
    from everfresh.serving.versions.models import LoadedModel, Variant

CLIENT_GONE = 499
"""The status of a request whose sender did not wait for the answer; there is no response that would have one."""

_SCRAPE = "/metrics"


def open_trails(environment: Mapping[str, str] = os.environ) -> Trails | None:
    """What follows requests, by the settings; None where nobody wants to know.

    Raises:
        InvalidSetting: a variable holds what it cannot mean.
        MissingExtra: traces are asked for, and OpenTelemetry is not installed.
    """
    is_logged, tracer = logs_access(environment), open_tracer(environment)
    return Trails(tracer, is_logged=is_logged) if is_logged or tracer is not None else None


def check_trails(environment: Mapping[str, str] = os.environ) -> None:
    """Make sure that `open_trails` can do what the settings ask for, before there is a worker that would fail on it.

    Raises:
        InvalidSetting: a variable holds what it cannot mean.
        MissingExtra: traces are asked for, and OpenTelemetry is not installed.
    """
    logs_access(environment)
    check_tracing(environment)


class Trails:
    """Follows requests from their arrival to their answer."""

    def __init__(self, tracer: Tracer | None, *, is_logged: bool) -> None:
        self.tracer = tracer
        self.is_logged = is_logged

    def begin(self, scope: Scope, request_id: str) -> Trail:
        """Follow a request that came just now."""
        return Trail(self, scope, request_id)

    def answered(self, batch: AnsweredBatch, started_ns: int) -> None:
        """Note for each of the requests what it was answered by, and with whom."""
        for asked, rows in zip(batch.asked, batch.counts, strict=True):
            if asked.trail is not None:
                asked.trail.answered_by(batch.model.name, batch.model.version, rows)
        self._trace(batch.model, batch.variant, batch.asked, sum(batch.counts), started_ns, batch.answered_ns, None)

    def refused(
        self, model: LoadedModel, variant: Variant, asked: Asked, rows: int, started_ns: int, error: BaseException
    ) -> None:
        """Note which version did not answer a request."""
        if asked.trail is not None:
            asked.trail.answered_by(model.name, model.version, rows)
        self._trace(model, variant, [asked], rows, started_ns, time.time_ns(), error)

    def close(self) -> None:
        """Send the last traces."""
        if self.tracer is not None:
            self.tracer.close()

    def _trace(
        self,
        model: LoadedModel,
        variant: Variant,
        asked: Sequence[Asked],
        rows: int,
        started_ns: int,
        ended_ns: int,
        error: BaseException | None,
    ) -> None:
        spans = [one.trail.span for one in asked if one.trail is not None and one.trail.span is not None]
        if self.tracer is None or not spans:
            return
        facts: dict[str, str | int] = {
            "everfresh.model": model.name,
            "everfresh.version": model.version,
            "everfresh.variant": variant,
            "everfresh.path": model.scorer.path,
            "everfresh.batch.rows": rows,
            "everfresh.batch.requests": len(asked),
        }
        self.tracer.batch(spans, facts, started_ns, ended_ns, error)


class Trail:
    """What is known of one request so far.

    Attributes:
        span: its span, once it has a route; None where it is not traced.
        principal: who asks, where that is known.
    """

    __slots__ = ("_model", "_pattern", "_request_id", "_rows", "_scope", "_started_ns", "_trails", "_version",
                 "principal", "span")  # fmt: skip

    def __init__(self, trails: Trails, scope: Scope, request_id: str) -> None:
        self.span: Span | None = None
        self.principal: str | None = None
        self._trails = trails
        self._scope = scope
        self._request_id = request_id
        self._started_ns = time.time_ns()
        self._pattern: str | None = None
        self._model: str | None = None
        self._version: int | None = None
        self._rows: int | None = None

    def routed(self, pattern: str, needs: Needs) -> None:
        """Note where the request goes. Questions of load balancers and of Prometheus are not traced."""
        self._pattern = pattern
        if self._trails.tracer is not None and needs != "nothing" and pattern != _SCRAPE:
            self.span = self._begin_span(self._trails.tracer)

    def answered_by(self, model: str, version: int, rows: int) -> None:
        """Note which version was asked, and how many rows."""
        self._model, self._version, self._rows = model, version, rows

    def ended(self, status: int, error: BaseException | None = None) -> None:
        """Note what was answered: with a line, and with the end of the span."""
        tracer = self._trails.tracer
        if tracer is not None and self._pattern is None:
            self.span = self._begin_span(tracer)
        facts: dict[str, str | int | None] = {
            "model": self._model,
            "version": self._version,
            "rows": self._rows,
            "principal": self.principal,
        }
        if tracer is not None and self.span is not None:
            known = {f"everfresh.{name}": fact for name, fact in facts.items() if fact is not None}
            tracer.end(self.span, status, error, known)
        if self._trails.is_logged:
            self._log(status, facts)

    def _begin_span(self, tracer: Tracer) -> Span | None:
        return tracer.request(self._scope, self._pattern, self._request_id, self._started_ns)

    def _log(self, status: int, facts: Mapping[str, str | int | None]) -> None:
        # Not the path: it may be anything. What has no pattern is told by its status.
        method, pattern = self._scope.method, self._pattern or "-"
        seconds = round((time.time_ns() - self._started_ns) / 1e9, 6)
        trace_id = f"{self.span.get_span_context().trace_id:032x}" if self.span is not None else None
        what = {"method": method, "route": pattern, "status": status, "seconds": seconds}
        known = {**what, **facts, "request_id": self._request_id, "trace_id": trace_id}
        access_logger.info("%s %s %s", method, pattern, status, extra={"facts": known})
