"""Letting a version serve, and bringing an earlier one back: targets first, the alias last."""

from __future__ import annotations

from datetime import datetime

from everfresh.loop.outcome import Outcome
from everfresh.loop.permission import may_serve
from everfresh.loop.workspace import Workspace
from everfresh.packaging.golden import read_golden
from everfresh.registry.versions import ModelVersion
from everfresh.rollout.all_at_once import roll_out


def release(workspace: Workspace, version: ModelVersion, reason: str) -> Outcome:
    """Roll the version out to every target, then make it the champion; asking again completes what is missing.

    Raises:
        TargetError: one target failed; all of them serve what they served before, and so does the alias.
    """
    before = workspace.registry.champion(workspace.name)
    serve_everywhere(workspace, version)
    # Alias last: a version that nobody serves must never be called champion.
    workspace.registry.promote(version, reason)
    if before is not None and before.version == version.version:
        return Outcome.already_serving(version)
    return Outcome("promoted", f"{version} serves: {_clause(reason)}.", version.version, version.version, reason)


def bring_back(workspace: Workspace, version: ModelVersion, reason: str, now: datetime) -> Outcome:
    """Let an earlier champion serve again everywhere, then give it the alias; unless its verdict forbids it.

    Raises:
        TargetError: one target failed; all of them serve what they served before.
    """
    before = workspace.registry.champion(workspace.name)
    permission = may_serve(version, now)
    if not permission.granted:
        return Outcome.not_permitted(permission, version, before.version if before else None)
    serve_everywhere(workspace, version)
    workspace.registry.roll_back(version, reason)
    if before is not None and before.version == version.version:
        return Outcome.already_serving(version)
    return Outcome(
        "rolled_back", f"{version} serves again: {_clause(reason)}.", version.version, version.version, reason
    )


def resume(workspace: Workspace, now: datetime) -> Outcome:
    """Let the champion serve where it does not, as after a restart; unless its verdict forbids it.

    An alias that somebody moved by hand names a version that no gate has let through.

    Raises:
        TargetError: one target failed; all of them serve what they served before.
    """
    champion = workspace.registry.champion(workspace.name)
    if champion is None:
        return Outcome.no_champion(workspace.name)
    permission = may_serve(champion, now)
    if not permission.granted:
        return Outcome.not_permitted(permission, champion, champion.version)
    serve_everywhere(workspace, champion)
    return Outcome.already_serving(champion)


def serve_everywhere(workspace: Workspace, version: ModelVersion) -> None:
    """Roll `version` out on every target, all or none of them.

    Raises:
        TargetError: one target failed; all of them serve what they served before.
    """
    registry, name = workspace.registry, workspace.name
    roll_out(
        workspace.targets,
        name,
        version.version,
        fetch=lambda number: workspace.bundle(registry.version(name, number)).directory,
        golden=read_golden(workspace.bundle(version)),
    )


def _clause(reason: str) -> str:
    """A reason within a sentence that has an end of its own."""
    return reason.strip().rstrip(".")
