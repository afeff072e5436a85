"""Scoring a table in batch."""

from __future__ import annotations

from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from everfresh.loop import scoring
from everfresh.loop.scoring import Scored
from everfresh.loop.workspace import Workspace


@task(cache_policy=NO_CACHE, persist_result=False)
def score_table(workspace: Workspace, table: str | None, output: str | None) -> Scored:
    """The champion's answers to a table."""
    champion = workspace.registry.load_champion(workspace.name)
    return scoring.score_table(workspace, champion, table, Path(output) if output else None)
