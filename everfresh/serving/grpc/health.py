"""gRPC's own health protocol: what Kubernetes and load balancers ask."""

from __future__ import annotations

from collections.abc import Callable, Collection

from everfresh.serving.grpc.messages import Message, message
from everfresh.serving.grpc.methods import Method
from everfresh.serving.refusals import Refusal, shortened

SERVICE = "grpc.health.v1.Health"


class UnknownService(Refusal):
    """A service that the server does not have."""

    status = 404
    code = "unknown_service"

    def __init__(self, name: str) -> None:
        super().__init__(f"There is no service {shortened(name)!r} here.")


def methods(is_ready: Callable[[], bool], services: Collection[str]) -> list[Method]:
    """The method of the protocol. A service is as ready as the server; one that it does not have is not found."""
    answer = message("grpc.health.v1.HealthCheckResponse")

    def check(request: Message) -> Message:
        if request.service not in ("", SERVICE, *services):
            raise UnknownService(request.service)
        return answer(status="SERVING" if is_ready() else "NOT_SERVING")

    return [Method(SERVICE, "Check", "nothing", check)]
