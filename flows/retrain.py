"""Retrain: the whole loop, if the policy asks for it."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from prefect import flow

from everfresh.loop.outcome import Outcome
from everfresh.loop.workspace import open_workspace
from flows.deploy import deploy
from flows.train import train
from tasks import monitoring, reports


@flow(flow_run_name="retrain-{project}")
def retrain(
    project: str,
    trigger: Literal["hand", "event", "schedule"] = "hand",
    forced_by: str = "",
    as_of: datetime | None = None,
    occurred: datetime | None = None,
) -> Outcome:
    """Train, judge and deploy a challenger, if the retrain policy calls for one.

    Args:
        project: the name of a spec in projects/, or its path.
        trigger: what started this run.
        forced_by: who asks for a retrain whatever the policy says; nobody if left empty.
        as_of: the moment to decide for; now if left out.
        occurred: when the event happened that started this run; one that is a day old starts nothing.
    """
    workspace = open_workspace(project)
    decision = monitoring.decide_retrain(workspace, trigger, forced_by, as_of, occurred)
    if not decision.retrain:
        return reports.conclude(workspace, Outcome.kept(decision.reason, workspace.serving()))

    trained = train(project, as_of)
    if not trained.waits_for_rollout:
        return reports.conclude(workspace, trained)

    return deploy(project, version=trained.version, reason=decision.reason)
