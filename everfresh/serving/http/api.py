"""Every path of the server, protocol by protocol."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from everfresh.serving.http import health, invocations, labels, v2
from everfresh.serving.http.messages import Request, Response
from everfresh.serving.http.routes import Route
from everfresh.serving.labels import LabelStore
from everfresh.serving.metrics import Metrics
from everfresh.serving.models import ModelTable


def all_routes(models: ModelTable, is_ready: Callable[[], bool], store: LabelStore, metrics: Metrics) -> list[Route]:
    """What the server answers, and what whoever asks must be allowed to do."""

    def read_metrics(request: Request, names: Mapping[str, str]) -> Response:
        text = metrics.text(models.versions())
        return Response(200, text.encode(), "text/plain; version=0.0.4; charset=utf-8")

    return [
        *v2.routes(models, is_ready),
        *labels.routes(models, store),
        *invocations.routes(is_ready),
        *health.routes(is_ready),
        Route("GET", "/metrics", "read", read_metrics),
    ]
