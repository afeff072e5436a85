"""Roll back: an earlier champion serves again."""

from __future__ import annotations

from prefect import flow

from everfresh.loop.outcome import Outcome
from everfresh.loop.workspace import open_workspace
from tasks import registry, reports, rollout


@flow(flow_run_name="rollback-{project}")
def rollback(project: str, to: int | None = None, reason: str = "asked for by hand") -> Outcome:
    """Bring the previous champion back on every target, or the version that is named.

    Args:
        project: the name of a spec in projects/, or its path.
        to: the version; the previous champion if left out.
        reason: why, for the registry.
    """
    workspace = open_workspace(project)
    version = registry.find_version_to_roll_back_to(workspace, to)
    return reports.conclude(workspace, rollout.bring_back(workspace, version, reason))
