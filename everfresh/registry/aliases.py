"""How the aliases must stand after a promotion or a rollback: decided here, written by the registry.

The order of the writes is the crash-safe one: the champion is set after `previous`, so that whatever step
dies, there is exactly one champion, and asking again completes what is missing.
"""

from __future__ import annotations

from dataclasses import dataclass

from everfresh.registry.versions import CHALLENGER, CHAMPION, PREVIOUS


@dataclass(frozen=True)
class Aliases:
    """Which version each alias names."""

    challenger: int | None = None
    champion: int | None = None
    previous: int | None = None


@dataclass(frozen=True)
class Move:
    """Point `alias` at `version`, or remove it where that is None."""

    alias: str
    version: int | None


def promotion_moves(now: Aliases, version: int) -> tuple[Move, ...]:
    """The writes that make `version` the champion; none where it is already and nothing is left over.

    >>> promotion_moves(Aliases(challenger=2, champion=1), 2)
    (Move(alias='previous', version=1), Move(alias='champion', version=2), Move(alias='challenger', version=None))
    >>> promotion_moves(Aliases(champion=2, previous=1), 2)
    ()
    """
    moves: list[Move] = []
    if now.champion != version:
        if now.champion is not None and now.previous != now.champion:
            moves.append(Move(PREVIOUS, now.champion))
        moves.append(Move(CHAMPION, version))
    if now.challenger == version:
        moves.append(Move(CHALLENGER, None))
    return tuple(moves)


def rollback_moves(now: Aliases, to: int, replaced_by_target: int | None) -> tuple[Move, ...]:
    """The writes that make `to` the champion again; `previous` becomes what `to` itself once replaced.

    >>> rollback_moves(Aliases(champion=3, previous=2), 2, replaced_by_target=1)
    (Move(alias='champion', version=2), Move(alias='previous', version=1))
    """
    moves: list[Move] = []
    if now.champion != to:
        moves.append(Move(CHAMPION, to))
    if now.previous != replaced_by_target:
        moves.append(Move(PREVIOUS, replaced_by_target))
    return tuple(moves)
