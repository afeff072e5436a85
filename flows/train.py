"""Train: from a table to a judged challenger."""

from __future__ import annotations

from datetime import datetime

from prefect import flow

from everfresh.loop.outcome import Outcome
from everfresh.loop.workspace import open_workspace
from tasks import evaluation, registry, reports, training
from tasks.data import read_rows


@flow(flow_run_name="train-{project}")
def train(project: str, as_of: datetime | None = None) -> Outcome:
    """Fit the candidates, judge the best of them, and register it as challenger.

    Args:
        project: the name of a spec in projects/, or its path.
        as_of: learn only from rows whose labels were known then; the end of the table if left out.
    """
    workspace = open_workspace(project)
    rows = read_rows(workspace, as_of)

    version = registry.find_same_content(workspace, rows)
    if version is None:
        trials = training.search(workspace, rows)
        version = registry.register_best(workspace, rows, trials)

    verdict = evaluation.judge(workspace, rows, version)
    registry.record_verdict(workspace, version, verdict)
    return reports.conclude_training(workspace, version, verdict)
