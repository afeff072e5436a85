"""What the server says to those whom it does not let in. Nobody learns from it why a key or a token was not good."""

from __future__ import annotations

from types import MappingProxyType

from everfresh.serving.access.roles import Needs, Principal, roles_for
from everfresh.serving.refusals import Refusal, shortened


class Unauthenticated(Refusal):
    """Nobody whom the server knows."""

    status = 401
    code = "unauthenticated"
    headers = MappingProxyType({"www-authenticate": "Bearer"})

    def __init__(self) -> None:
        super().__init__("This needs a key or a token that is valid here, as in `Authorization: Bearer KEY`.")


class NoAdministrator(Unauthenticated):
    """A question for administrators, on a server that has none."""

    def __init__(self) -> None:
        Refusal.__init__(
            self, "Nobody may do this here: the server has no administrator. See `everfresh keys add --help`."
        )


class Forbidden(Refusal):
    """Somebody whom the server knows, and who may not do this."""

    status = 403
    code = "forbidden"

    def __init__(self, who: Principal, needs: Needs) -> None:
        held = " and ".join(sorted(who.roles)) or "no role"
        super().__init__(f"This needs the role {' or '.join(roles_for(needs))}; {shortened(who.name)} has {held}.")


class ForeignHost(Refusal):
    """A request that was meant for another host, or that a page was tricked into sending here."""

    status = 421
    code = "foreign_host"

    def __init__(self, host: str) -> None:
        super().__init__(f"This server does not answer for the host {shortened(host)!r}; see EVERFRESH_SERVING_HOSTS.")


class ForeignOrigin(Refusal):
    """A request that a page of another site sends from somebody's browser."""

    status = 403
    code = "foreign_origin"

    def __init__(self, origin: str) -> None:
        super().__init__(f"Pages of {shortened(origin)!r} may not send requests here.")
