from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from everfresh.registry.aliases import Aliases, Move, promotion_moves, rollback_moves

VERSIONS = st.integers(1, 4)
MAYBE = st.none() | VERSIONS
ANY = st.builds(Aliases, MAYBE, MAYBE, MAYBE)
# What may happen: a version waits, is promoted, or is brought back; and after how many writes the process is killed.
EVENTS = st.lists(
    st.tuples(st.sampled_from(["wait", "promote", "roll back"]), VERSIONS, st.none() | st.integers(0, 2)), max_size=25
)


def written(now: Aliases, moves: tuple[Move, ...], killed_after: int | None = None) -> Aliases:
    for move in moves[:killed_after]:
        now = replace(now, **{move.alias: move.version})
    return now


@given(ANY, VERSIONS)
def test_after_a_promotion_the_version_is_champion_and_the_one_before_is_previous(now: Aliases, version: int) -> None:
    after = written(now, promotion_moves(now, version))
    assert after.champion == version
    assert after.challenger != version
    if now.champion not in (None, version):
        assert after.previous == now.champion


@given(ANY, VERSIONS)
def test_a_promotion_leaves_another_challenger_waiting(now: Aliases, version: int) -> None:
    after = written(now, promotion_moves(now, version))
    if now.challenger != version:
        assert after.challenger == now.challenger


@given(ANY, VERSIONS, st.integers(0, 3))
def test_a_promotion_that_was_killed_is_completed_by_asking_again(now: Aliases, version: int, after: int) -> None:
    killed = written(now, promotion_moves(now, version), after)
    again = written(killed, promotion_moves(killed, version))
    assert again == written(now, promotion_moves(now, version))
    assert promotion_moves(again, version) == ()


@given(ANY, VERSIONS, MAYBE, st.integers(0, 2))
def test_a_rollback_that_was_killed_is_completed_by_asking_again(
    now: Aliases, to: int, replaced: int | None, after: int
) -> None:
    killed = written(now, rollback_moves(now, to, replaced), after)
    again = written(killed, rollback_moves(killed, to, replaced))
    assert again == written(now, rollback_moves(now, to, replaced))
    assert (again.champion, again.previous) == (to, replaced)
    assert rollback_moves(again, to, replaced) == ()


@given(EVENTS)
def test_once_there_was_a_champion_there_always_is_one(events: list[tuple[str, int, int | None]]) -> None:
    now, replaced, was_promoted = Aliases(), dict[int, int | None](), False
    for event, version, killed_after in events:
        before = now
        if event == "wait":
            now = replace(now, challenger=version)
        elif event == "promote":
            if now.champion != version:
                replaced[version] = now.champion
            now = written(now, promotion_moves(now, version), killed_after)
        else:
            now = written(now, rollback_moves(now, version, replaced.get(version)), killed_after)
        was_promoted = was_promoted or now.champion is not None
        assert (now.champion is not None) == was_promoted
        assert now.champion in (before.champion, version)


@given(EVENTS)
def test_going_back_never_leads_to_where_one_is(events: list[tuple[str, int, int | None]]) -> None:
    now, replaced = Aliases(), dict[int, int | None]()
    for event, version, _ in events:
        if event == "promote":
            if now.champion != version:
                replaced[version] = now.champion
            now = written(now, promotion_moves(now, version))
        elif event == "roll back" and now.previous is not None:
            now = written(now, rollback_moves(now, now.previous, replaced.get(now.previous)))
        assert now.champion is None or now.previous != now.champion
