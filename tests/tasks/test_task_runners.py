from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from typing import Any

import pytest
from prefect.task_runners import ThreadPoolTaskRunner
from threadpoolctl import threadpool_limits

from everfresh.errors import NothingToLearnFrom
from everfresh.loop.rows import learning_rows
from everfresh.settings import Settings
from everfresh.spec.training import SearchSpec
from everfresh.testing.projects import open_in_memory, rides, write_project
from everfresh.training.trials import Trial
from tasks.task_runners import task_runner
from tasks.training import search

CANDIDATES = [
    {"name": "linear", "estimator": "sklearn.linear_model.LogisticRegression", "params": {"C": [0.1, 1.0, 10.0]}},
    {
        "name": "tree",
        "estimator": "sklearn.tree.DecisionTreeClassifier",
        "params": {"max_depth": {"low": 2, "high": 9}},
    },
]


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    with threadpool_limits(1):
        yield


@pytest.fixture
def searched(checkout: Settings) -> Callable[[str], Sequence[Trial]]:
    """All trials of a small project, on that kind of cluster."""

    def on(parallel: str) -> Sequence[Trial]:
        training = {"candidates": CANDIDATES, "search": {"trials": 3, "parallel": parallel}}
        workspace = open_in_memory(write_project(checkout.projects, rides(days=40), training=training), checkout)
        return search(workspace, learning_rows(workspace.project, workspace.settings))

    return on


def told(trials: Sequence[Trial]) -> list[tuple[str, dict[str, Any], dict[str, float]]]:
    """Everything about trials but how long they took."""
    return [(trial.candidate, dict(trial.params), {**trial.scores}) for trial in trials]


def test_threads_are_what_runs_without_a_cluster() -> None:
    runner = task_runner(SearchSpec(parallel="threads"))

    assert isinstance(runner, ThreadPoolTaskRunner)


@pytest.mark.slow
@pytest.mark.usefixtures("prefect_server")
def test_trials_come_in_the_order_of_the_spec(searched: Callable[[str], Sequence[Trial]]) -> None:
    trials = searched("threads")

    assert [trial.candidate for trial in trials] == ["linear"] * 3 + ["tree"] * 3
    assert [trial.params.get("C") for trial in trials[:3]] == [0.1, 1.0, 10.0]
    assert all(trial.error == "" for trial in trials)


@pytest.mark.slow
@pytest.mark.usefixtures("prefect_server")
@pytest.mark.filterwarnings("ignore")  # of what a cluster's own libraries warn is not ours to mend
@pytest.mark.parametrize("cluster", ["dask", "ray"])
def test_a_cluster_finds_what_threads_find(searched: Callable[[str], Sequence[Trial]], cluster: str) -> None:
    if find_spec(f"prefect_{cluster}") is None:
        pytest.skip(f"prefect-{cluster} is not installed")

    assert told(searched(cluster)) == told(searched("threads"))


@pytest.mark.slow
@pytest.mark.usefixtures("prefect_server")
def test_what_a_candidate_cannot_learn_from_is_said_as_it_is(checkout: Settings) -> None:
    table = rides(days=40)[["ride", "at", "distance", "late"]].assign(distance=None)
    columns = {"columns": {"distance": {"dtype": "float"}}}
    workspace = open_in_memory(write_project(checkout.projects, table, data=columns), checkout)

    with pytest.raises(NothingToLearnFrom):
        search(workspace, learning_rows(workspace.project, workspace.settings))
