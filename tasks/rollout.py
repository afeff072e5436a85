"""Letting versions serve. Asking again completes what is missing, so a registry that was away is asked again."""

from __future__ import annotations

from datetime import UTC, datetime

from prefect import task
from prefect.cache_policies import NO_CACHE

from everfresh.loop import release as loop
from everfresh.loop.outcome import Outcome
from everfresh.loop.workspace import Workspace
from everfresh.registry.versions import ModelVersion
from tasks.retrying import may_heal


@task(
    task_run_name="release-v{version.version}",
    retries=2,
    retry_delay_seconds=[1, 10],
    retry_condition_fn=may_heal,
    cache_policy=NO_CACHE,
    persist_result=False,
)
def release(workspace: Workspace, version: ModelVersion, reason: str) -> Outcome:
    """Roll a version out to every target, then make it the champion."""
    return loop.release(workspace, version, reason)


@task(
    task_run_name="bring-back-v{version.version}",
    retries=2,
    retry_delay_seconds=[1, 10],
    retry_condition_fn=may_heal,
    cache_policy=NO_CACHE,
    persist_result=False,
)
def bring_back(workspace: Workspace, version: ModelVersion, reason: str) -> Outcome:
    """Let an earlier champion serve again."""
    return loop.bring_back(workspace, version, reason, datetime.now(UTC))
