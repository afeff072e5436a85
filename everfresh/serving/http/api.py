"""Every path of the server, protocol by protocol."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from everfresh.serving.http import admin, azureml, health, invocations, labels, openapi, tfserving, v2
from everfresh.serving.http.messages import Request, Response
from everfresh.serving.http.routes import Route
from everfresh.serving.metrics.exposition import CONTENT_TYPE, exposition
from everfresh.serving.metrics.files import MetricsFiles
from everfresh.serving.recording.labels import LabelStore
from everfresh.serving.versions.gauges import gauges_of
from everfresh.serving.versions.models import ModelTable
from everfresh.serving.versions.repository import Repository


def all_routes(
    models: ModelTable, repository: Repository, is_ready: Callable[[], bool], store: LabelStore, metrics: MetricsFiles
) -> list[Route]:
    """What the server answers, and what whoever asks must be allowed to do."""

    def read_metrics(request: Request, names: Mapping[str, str]) -> Response:
        text = exposition(metrics.of_all_workers(), gauges_of(models, datetime.now(UTC), is_ready=is_ready()))
        return Response(200, text.encode(), CONTENT_TYPE)

    routes = [
        *v2.routes(models, is_ready),
        *labels.routes(models, store),
        *invocations.routes(is_ready),
        *azureml.routes(is_ready),
        *tfserving.routes(models),
        *health.routes(is_ready),
        *admin.routes(repository, models),
        Route("GET", "/metrics", "read", read_metrics, blocks=True),
    ]
    return [*routes, *openapi.routes(models, routes)]
