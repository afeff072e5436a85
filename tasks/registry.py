"""Reading from and writing to MLflow's registry. Every write is safe to repeat, so each may be retried."""

from __future__ import annotations

from collections.abc import Sequence

from prefect import task
from prefect.cache_policies import NO_CACHE

from everfresh.evaluation.verdict import Verdict
from everfresh.loop import challenger, judgement
from everfresh.loop.rows import LearningRows
from everfresh.loop.workspace import Workspace
from everfresh.registry.versions import ModelVersion
from everfresh.training.trials import Trial
from tasks.retrying import may_heal


@task(retries=3, retry_delay_seconds=[1, 5, 30], retry_condition_fn=may_heal, cache_policy=NO_CACHE)
def find_same_content(workspace: Workspace, rows: LearningRows) -> ModelVersion | None:
    """A version that was made from the same spec, rows and code: it is not trained twice."""
    return workspace.registry.same_content(workspace.name, challenger.lineage_of(workspace, rows))


@task(retries=2, retry_delay_seconds=[5, 30], retry_condition_fn=may_heal, cache_policy=NO_CACHE)
def register_best(workspace: Workspace, rows: LearningRows, trials: Sequence[Trial]) -> ModelVersion:
    """Fit the best trial on all rows but the holdout, pack it, and register it."""
    return challenger.make_challenger(workspace, rows, trials)


@task(retries=3, retry_delay_seconds=[1, 5, 30], retry_condition_fn=may_heal, cache_policy=NO_CACHE)
def record_verdict(workspace: Workspace, version: ModelVersion, verdict: Verdict) -> ModelVersion:
    """Keep the verdict with the version; one that may serve becomes the challenger."""
    return judgement.record(workspace, version, verdict)


@task(retries=3, retry_delay_seconds=[1, 5, 30], retry_condition_fn=may_heal, cache_policy=NO_CACHE)
def find_champion(workspace: Workspace) -> ModelVersion | None:
    """The version that serves, where one does."""
    return workspace.registry.champion(workspace.name)


@task(retries=3, retry_delay_seconds=[1, 5, 30], retry_condition_fn=may_heal, cache_policy=NO_CACHE)
def find_version_to_deploy(workspace: Workspace, version: int | None) -> ModelVersion:
    """The version that is named, or the challenger."""
    return workspace.registry.to_deploy(workspace.name, version)


@task(retries=3, retry_delay_seconds=[1, 5, 30], retry_condition_fn=may_heal, cache_policy=NO_CACHE)
def find_version_to_roll_back_to(workspace: Workspace, version: int | None) -> ModelVersion:
    """The version that is named, or the previous champion."""
    return workspace.registry.to_roll_back_to(workspace.name, version)
