"""What one may do with an inference server, and who is asking.

    predict     ask models, send labels
    read        metrics, logs and versions of everything
    admin       load, unload, split and shadow traffic; and all of the above

A route says what it needs, and any one of the roles that it names is enough: what a model's columns are may be asked by
whoever may ask the model, and by whoever may look at the server.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

Needs = frozenset["Role"]
"""The roles of which a route asks for one; empty where it asks nobody."""


class Role(StrEnum):
    """One thing that somebody may do."""

    PREDICT = "predict"
    READ = "read"
    ADMIN = "admin"


OPEN: Needs = frozenset()
TO_PREDICT: Needs = frozenset({Role.PREDICT})
TO_READ: Needs = frozenset({Role.READ})
TO_DESCRIBE: Needs = TO_PREDICT | TO_READ
TO_ADMINISTER: Needs = frozenset({Role.ADMIN})


@dataclass(frozen=True)
class Principal:
    """Whoever sent a request. `roles` holds all that they may do; see `all_of`."""

    name: str
    roles: frozenset[Role]

    def may(self, needs: Needs) -> bool:
        """Whether one of the roles is theirs."""
        return not self.roles.isdisjoint(needs)


def all_of(roles: Iterable[Role]) -> frozenset[Role]:
    """The roles with those that they include.

    >>> sorted(all_of([Role.ADMIN])) == sorted(Role)
    True
    """
    given = frozenset(roles)
    return frozenset(Role) if Role.ADMIN in given else given


ANYONE = Principal("anyone", frozenset({Role.PREDICT, Role.READ}))
"""Whoever reaches a server that asks nobody who they are."""

NOBODY = Principal("nobody", frozenset())
"""Whoever reaches a server that asks, and did not say."""
