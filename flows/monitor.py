"""Monitor: compare production with what the champion was trained on."""

from __future__ import annotations

from datetime import datetime

from prefect import flow

from everfresh.loop.outcome import Outcome
from everfresh.loop.workspace import open_workspace
from everfresh.monitoring.report import MonitoringReport
from tasks import monitoring, registry, reports


@flow(flow_run_name="monitor-{project}")
def monitor(project: str, as_of: datetime | None = None) -> MonitoringReport | Outcome:
    """Check the champion's production, and say so if it drifted, dropped or aged.

    Args:
        project: the name of a spec in projects/, or its path.
        as_of: the moment to judge; now if left out.
    """
    workspace = open_workspace(project)
    champion = registry.find_champion(workspace)
    if champion is None:
        return reports.conclude(workspace, Outcome.no_champion(workspace.name))

    report = monitoring.check(workspace, champion, as_of)
    monitoring.announce(workspace, report)
    return report
