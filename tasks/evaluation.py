"""Judging a version by its gates."""

from __future__ import annotations

from prefect import task
from prefect.cache_policies import NO_CACHE

from everfresh.evaluation.verdict import Verdict
from everfresh.loop import judgement
from everfresh.loop.rows import LearningRows
from everfresh.loop.workspace import Workspace
from everfresh.registry.versions import ModelVersion
from tasks.reports import markdown
from tasks.retrying import may_heal


@task(
    task_run_name="judge-v{version.version}",
    retries=2,
    retry_delay_seconds=[5, 30],
    retry_condition_fn=may_heal,
    cache_policy=NO_CACHE,
    persist_result=False,
)
def judge(workspace: Workspace, rows: LearningRows, version: ModelVersion) -> Verdict:
    """Ask every gate, and keep the verdict as an artifact."""
    verdict = judgement.judge(workspace, rows, version)
    markdown("verdict", workspace.name, verdict.to_markdown(), f"{version}: {verdict.status}")
    return verdict
