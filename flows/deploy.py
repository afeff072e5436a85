"""Deploy: let a judged version serve."""

from __future__ import annotations

from datetime import datetime

from prefect import flow

from everfresh.loop.outcome import Outcome
from everfresh.loop.permission import may_deploy
from everfresh.loop.workspace import open_workspace
from tasks import registry, reports, rollout


@flow(flow_run_name="deploy-{project}")
def deploy(project: str, version: int | None = None, approved_by: str = "", reason: str = "") -> Outcome:
    """Let a judged version serve on every target, and make it the champion; or leave everything as it was.

    Args:
        project: the name of a spec in projects/, or its path.
        version: the version; the challenger if left out.
        approved_by: who approved it, where the spec asks for a person.
        reason: why it is deployed, for the registry.
    """
    workspace = open_workspace(project)
    candidate = registry.find_version_to_deploy(workspace, version)

    permission = may_deploy(workspace.spec.promotion, candidate, approved_by, datetime.now().astimezone())
    if not permission.granted:
        return reports.conclude(workspace, Outcome.not_permitted(permission, candidate, workspace.serving()))

    return reports.conclude(workspace, rollout.release(workspace, candidate, reason or permission.reason))
