"""Whether the server lives and whether it is ready, in the words of each protocol that asks."""

from __future__ import annotations

from collections.abc import Callable

from everfresh.serving.http.messages import Response, json_response
from everfresh.serving.http.routes import Route


def routes(is_ready: Callable[[], bool]) -> list[Route]:
    """The paths that belong to no protocol."""
    return [
        Route("GET", "/health/live", "nothing", lambda request, names: live()),
        Route("GET", "/health/ready", "nothing", lambda request, names: ready(is_ready())),
    ]


def live() -> Response:
    """The process answers; that is all that liveness means."""
    return json_response({"live": True})


def ready(is_ready: bool) -> Response:
    """200 where every model that is asked for has a version that answers, else 503."""
    return json_response({"ready": is_ready}, 200 if is_ready else 503)


def ping(is_ready: bool) -> Response:
    """SageMaker's question; it wants an empty body, and waits while the answer is not 200."""
    return Response(200 if is_ready else 503)
