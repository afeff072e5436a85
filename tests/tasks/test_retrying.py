from __future__ import annotations

from typing import Any

import pytest
from prefect import task
from prefect.cache_policies import NO_CACHE

from everfresh.errors import NoLabels, RegistryUnreachable, SourceUnreachable
from tasks.retrying import may_heal

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("prefect_server")]


def tries_of(error: Exception, *, fails: int) -> list[int]:
    """How often a task was tried that fails so many times; the error is raised where that was once too often."""
    tried: list[int] = []

    @task(retries=2, retry_delay_seconds=0, retry_condition_fn=may_heal, cache_policy=NO_CACHE, persist_result=False)
    def flaky() -> int:
        tried.append(len(tried) + 1)
        if len(tried) <= fails:
            raise error
        return len(tried)

    try:
        flaky()
    except type(error):
        tried.append(0)
    return tried


@pytest.mark.parametrize(
    "error",
    [
        RegistryUnreachable("postgresql://db/mlflow", "it restarts"),
        SourceUnreachable("s3://lake/x", "slow"),
        OSError(5),
    ],
)
def test_what_may_heal_is_tried_again(error: Exception) -> None:
    assert tries_of(error, fails=2) == [1, 2, 3]
    assert tries_of(error, fails=9) == [1, 2, 3, 0]


@pytest.mark.parametrize("error", [NoLabels("late", 3), ValueError("a bug"), KeyError("another")])
def test_what_stays_wrong_is_tried_once(error: Any) -> None:
    assert tries_of(error, fails=1) == [1, 0]
