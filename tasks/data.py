"""Reading a project's table."""

from __future__ import annotations

from datetime import datetime

from prefect import task
from prefect.cache_policies import NO_CACHE

from everfresh.loop.rows import LearningRows, learning_rows
from everfresh.loop.workspace import Workspace
from tasks.retrying import may_heal


@task(retries=2, retry_delay_seconds=[5, 30], retry_condition_fn=may_heal, cache_policy=NO_CACHE, persist_result=False)
def read_rows(workspace: Workspace, as_of: datetime | None) -> LearningRows:
    """Read the table, check it against its schema, and split it."""
    return learning_rows(workspace.project, workspace.settings, as_of)
