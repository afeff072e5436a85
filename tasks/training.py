"""Searching the candidates side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from everfresh.loop.rows import LearningRows
from everfresh.loop.search import SearchOrder, abandoned_on_error, orders, search_one
from everfresh.loop.workspace import Workspace
from everfresh.training.trials import Trial
from tasks.task_runners import task_runner


@task(task_run_name="search-{order.candidate.name}", cache_policy=NO_CACHE, persist_result=False)
def search_candidate(order: SearchOrder) -> tuple[Trial, ...]:
    """Every trial of one candidate."""
    return search_one(order)


def search(workspace: Workspace, rows: LearningRows) -> Sequence[Trial]:
    """Every trial of every candidate, in the order of the spec."""
    given = orders(workspace, rows)
    with task_runner(workspace.spec.training.search) as runner, abandoned_on_error(given):
        futures: list[Any] = [runner.submit(search_candidate, {"order": order}) for order in given]
        return [trial for future in futures for trial in future.result()]
