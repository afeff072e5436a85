import pickle
from collections.abc import Callable

import pytest

from everfresh.loop.rows import learning_rows
from everfresh.loop.search import orders, search_one
from everfresh.loop.workspace import Workspace
from everfresh.testing.projects import day

FOREST = {"name": "forest", "estimator": "sklearn.ensemble.RandomForestClassifier", "params": {"n_estimators": 5}}
LOGISTIC = {"name": "linear", "estimator": "sklearn.linear_model.LogisticRegression", "params": {"C": [0.1, 1.0]}}


def test_an_order_can_be_carried_out_in_another_process(make: Callable[..., Workspace]) -> None:
    workspace = make(training={"candidates": [LOGISTIC, FOREST]})
    given = orders(workspace, learning_rows(workspace.project, workspace.settings, day(30)))
    sent = pickle.loads(pickle.dumps(given))

    assert [order.candidate.name for order in sent] == ["linear", "forest"]
    here, there = ([search_one(order) for order in each] for each in (given, sent))
    assert [len(trials) for trials in there] == [2, 1]
    assert [trial.scores for trials in there for trial in trials] == [trial.scores for part in here for trial in part]


@pytest.mark.parametrize(("label", "metric"), [("how", "log_loss"), ("minutes", "rmse")])
def test_trials_are_scored_by_the_metrics_of_the_task(make: Callable[..., Workspace], label: str, metric: str) -> None:
    workspace = make(label=label)
    (order,) = orders(workspace, learning_rows(workspace.project, workspace.settings, day(30)))

    assert order.metric == metric
    assert all(trial.score(metric) > 0 for trial in search_one(order))
