"""How flows end: one log line and one page in the Prefect UI."""

from __future__ import annotations

import logging

from prefect.artifacts import create_markdown_artifact

from everfresh.evaluation.verdict import Verdict
from everfresh.loop.outcome import Outcome
from everfresh.loop.workspace import Workspace
from everfresh.registry.versions import ModelVersion

logger = logging.getLogger(__name__)


def conclude(workspace: Workspace, outcome: Outcome) -> Outcome:
    """Say how the flow ended, and give the outcome on."""
    logger.info("%s: %s. %s", workspace.name, outcome.status, outcome.reason)
    markdown("outcome", workspace.name, f"## {outcome.status}\n\n{outcome.reason}\n", outcome.reason)
    return outcome


def conclude_training(workspace: Workspace, version: ModelVersion, verdict: Verdict) -> Outcome:
    """Say what became of a trained version."""
    return conclude(workspace, Outcome.trained(version, verdict, workspace.serving()))


def markdown(kind: str, project: str, text: str, description: str) -> None:
    """A page in the Prefect UI, under one key for each kind and project, so that its history is kept."""
    create_markdown_artifact(key=f"{kind}-{project}", markdown=text, description=description[:250])
