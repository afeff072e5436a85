"""Whether the server lives and whether it is ready, in the words of each protocol that asks."""

from __future__ import annotations

from everfresh.serving.http.messages import Response, json_response


def live() -> Response:
    """The process answers; that is all that liveness means."""
    return json_response({"live": True})


def ready(is_ready: bool) -> Response:
    """200 where every model that is asked for has a version that answers, else 503."""
    return json_response({"ready": is_ready}, 200 if is_ready else 503)


def ping(is_ready: bool) -> Response:
    """SageMaker's question; it wants an empty body, and waits while the answer is not 200."""
    return Response(200 if is_ready else 503)
