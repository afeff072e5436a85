"""What one may do with an inference server, and who is asking.

    predict     ask models, send labels
    read        metrics, logs and versions of everything
    admin       load, unload, split and shadow traffic; and all of the above

A route says what it needs. What a model's columns are, `describe`, may be asked by whoever may ask the model and by
whoever may look at the server.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain, combinations
from typing import Literal, get_args

Needs = Literal["nothing", "describe", "predict", "read", "admin"]
"""What a route asks of whoever wants it answered; `nothing` where it asks nobody who they are."""


class Role(StrEnum):
    """One thing that somebody may do."""

    PREDICT = "predict"
    READ = "read"
    ADMIN = "admin"


_ALLOWS: dict[Role, frozenset[Needs]] = {
    Role.PREDICT: frozenset({"describe", "predict"}),
    Role.READ: frozenset({"describe", "read"}),
    Role.ADMIN: frozenset(get_args(Needs)),
}
# All sets of roles, so that a request is one look into a table.
_ALLOWED = {
    frozenset(roles): frozenset(chain.from_iterable(_ALLOWS[role] for role in roles))
    for count in range(len(Role) + 1)
    for roles in combinations(Role, count)
}


@dataclass(frozen=True)
class Principal:
    """Whoever sent a request. `roles` holds all that they may do; see `all_of`."""

    name: str
    roles: frozenset[Role]

    def may(self, needs: Needs) -> bool:
        """Whether one of their roles allows what a route needs."""
        return needs in _ALLOWED[self.roles]


def all_of(roles: Iterable[Role]) -> frozenset[Role]:
    """The roles with those that they include.

    >>> sorted(all_of([Role.ADMIN])) == sorted(Role)
    True
    """
    given = frozenset(roles)
    return frozenset(Role) if Role.ADMIN in given else given


def roles_for(needs: Needs) -> list[Role]:
    """The roles of which one is needed, without the one that includes all others.

    >>> [role.value for role in roles_for("describe")], [role.value for role in roles_for("admin")]
    (['predict', 'read'], ['admin'])
    """
    return [role for role in Role if role is not Role.ADMIN and needs in _ALLOWS[role]] or [Role.ADMIN]


ANYONE = Principal("anyone", frozenset({Role.PREDICT, Role.READ}))
"""Whoever reaches a server that asks nobody who they are."""

NOBODY = Principal("nobody", frozenset())
"""Whoever reaches a server that asks, and did not say."""
