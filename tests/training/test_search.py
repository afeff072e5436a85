from __future__ import annotations

import logging
import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score

from everfresh.data.columns import Column
from everfresh.errors import NothingToLearnFrom
from everfresh.spec.metrics import TASK_METRICS, Metric, Task
from everfresh.spec.training import CandidateSpec
from everfresh.training.estimators import ImportRules
from everfresh.training.examples import Examples
from everfresh.training.pipeline import build_pipeline
from everfresh.training.search import search_candidate
from everfresh.training.trials import Trial

Columns = tuple[Column, ...]
Table = Callable[..., Examples]
Candidate = Callable[..., CandidateSpec]

LOGISTIC = "sklearn.linear_model.LogisticRegression"
BOOSTING = "sklearn.ensemble.HistGradientBoostingClassifier"
RIDGE = "sklearn.linear_model.Ridge"

# Fails for a depth above 2.
MOODY = """\
from sklearn.tree import DecisionTreeClassifier


class Moody(DecisionTreeClassifier):
    def fit(self, X, y):
        if self.max_depth > 2:
            raise RuntimeError(f"not with {self.max_depth}\\nand a second line")
        return super().fit(X, y)


def make(max_depth=1):
    return Moody(max_depth=max_depth)
"""


@pytest.fixture
def search(columns: Columns, table: Table) -> Callable[..., tuple[Trial, ...]]:
    def with_defaults(candidate: CandidateSpec, **changed: Any) -> tuple[Trial, ...]:
        classes = changed.pop("classes", 2)
        usual: dict[str, Any] = {
            "columns": columns,
            "train": table(200, 1, classes),
            "validation": table(120, 2, classes),
            "task": "classification" if classes else "regression",
            "metric": "roc_auc" if classes else "rmse",
            "trials": 10,
            "seed": 0,
            "rules": ImportRules(),
        }
        return search_candidate(candidate, **{**usual, **changed})

    return with_defaults


@pytest.mark.parametrize(("estimator", "params", "count"), [
    (LOGISTIC, {"C": [0.1, 1, 10]}, 3),
    (BOOSTING, {"max_iter": [10, 20]}, 2),
    ("sklearn.ensemble.RandomForestClassifier", {"n_estimators": 10}, 1),
    ("sklearn.naive_bayes.GaussianNB", {}, 1),
])  # fmt: skip
@pytest.mark.parametrize("classes", [2, 3])
def test_every_combination_is_tried_once_and_scored_by_every_metric(
    search: Any, candidate: Candidate, estimator: str, params: dict[str, Any], count: int, classes: int
) -> None:
    trials = search(candidate(estimator, **params), classes=classes)
    assert [trial.error for trial in trials] == [""] * count
    for trial in trials:
        assert set(trial.scores) == set(TASK_METRICS["classification"])
        assert trial.scores["roc_auc"] > 0.75
        assert trial.seconds > 0


def test_a_regression_is_searched_too(search: Any, candidate: Candidate) -> None:
    trials = search(candidate(RIDGE, alpha=[0.1, 10.0]), classes=0)
    assert [trial.params for trial in trials] == [{"alpha": 0.1}, {"alpha": 10.0}]
    assert all(set(trial.scores) == {"rmse", "mae", "r2"} for trial in trials)
    assert trials[0].scores["r2"] > 0.5


def test_a_score_is_that_of_the_pipeline_that_would_be_served(
    columns: Columns, table: Table, search: Any, candidate: Candidate
) -> None:
    (trial,) = search(candidate(BOOSTING, max_iter=15))
    train, validation = table(200, 1), table(120, 2)
    pipeline = build_pipeline(HistGradientBoostingClassifier(max_iter=15, random_state=0), columns[:2])
    answer = pipeline.fit(train.rows, train.labels).predict_proba(validation.rows)
    assert trial.scores["roc_auc"] == roc_auc_score(validation.labels, answer[:, 1])


@pytest.fixture
def moody(tmp_path: Path) -> ImportRules:
    (tmp_path / "mine.py").write_text(MOODY)
    return ImportRules(directory=tmp_path)


def test_a_trial_that_fails_is_one_among_the_others(search: Any, candidate: Candidate, moody: ImportRules) -> None:
    trials = search(candidate("mine:make", max_depth=[3, 1, 4, 2]), rules=moody)
    assert [trial.error for trial in trials] == ["RuntimeError: not with 3", "", "RuntimeError: not with 4", ""]
    assert [dict(trial.scores) != {} for trial in trials] == [False, True, False, True]
    assert trials[0].seconds == 0


def test_a_refused_import_is_a_failed_trial_and_no_crash(search: Any, candidate: Candidate) -> None:
    (trial,) = search(candidate("subprocess.Popen"))
    assert trial.error.startswith("ImportRefused: 'subprocess.Popen' may not be imported")


def test_the_sampler_learns_from_failures_too(search: Any, candidate: Candidate, moody: ImportRules) -> None:
    trials = search(candidate("mine:make", max_depth={"low": 1, "high": 1000}), rules=moody, trials=8)
    assert len(trials) == 8
    assert any(trial.error for trial in trials)


@pytest.mark.parametrize("params", [
    {"C": {"low": 0.001, "high": 100.0, "log": True}},
    {"C": {"low": 0.5, "high": 2.0}, "fit_intercept": [True, False]},
])  # fmt: skip
def test_a_range_is_sampled_from_the_seed(search: Any, candidate: Candidate, params: dict[str, Any]) -> None:
    tried = [[trial.params for trial in search(candidate(LOGISTIC, **params), trials=6, seed=s)] for s in (1, 1, 2)]
    assert tried[0] == tried[1] != tried[2]
    assert len(tried[0]) == 6
    assert all(params["C"]["low"] <= values["C"] <= params["C"]["high"] for values in tried[0])


def test_the_sampler_goes_where_the_scores_are_good(search: Any, candidate: Candidate) -> None:
    space = candidate("sklearn.tree.DecisionTreeClassifier", min_impurity_decrease={"low": 0.0, "high": 0.4})
    trials = search(space, trials=25)
    early, late = (
        np.mean([trial.scores["roc_auc"] for trial in trials[part]]) for part in (slice(0, 10), slice(10, None))
    )
    assert late > early


def test_what_is_proposed_twice_is_fitted_once(search: Any, candidate: Candidate) -> None:
    # 30 combinations and 29 trials: the sampler proposes many of them again.
    space = candidate(LOGISTIC, C=[1, 2, 3, 4, 5], max_iter={"low": 500, "high": 505})
    trials = search(space, trials=29)
    assert len({tuple(trial.params.items()) for trial in trials}) == len(trials) > 20


def test_values_that_python_takes_for_equal_are_tried_apart(search: Any, candidate: Candidate) -> None:
    trials = search(candidate("sklearn.ensemble.RandomForestClassifier", max_features=[1, 1.0], n_estimators=3))
    assert [repr(trial.params["max_features"]) for trial in trials] == ["1", "1.0"]
    sampled = search(
        candidate(BOOSTING, max_features=[1.0, 0.5], max_iter={"low": 2, "high": 900}, early_stopping=[True, False])
    )
    assert {type(trial.params["early_stopping"]) for trial in sampled} == {bool}


@pytest.mark.parametrize("estimator", [BOOSTING, "sklearn.ensemble.RandomForestClassifier"])
def test_two_searches_with_one_seed_are_equal(search: Any, candidate: Candidate, estimator: str) -> None:
    def told(seed: int) -> list[Any]:
        space = candidate(estimator, max_depth={"low": 2, "high": 50})
        return [(trial.params, trial.scores) for trial in search(space, trials=4, seed=seed)]

    assert told(3) == told(3) != told(4)


def test_the_order_of_the_keys_in_the_spec_says_nothing(search: Any, candidate: Candidate) -> None:
    one = search(candidate(LOGISTIC, C=[0.1, 1.0], fit_intercept=[True, False]))
    other = search(candidate(LOGISTIC, fit_intercept=[True, False], C=[0.1, 1.0]))
    assert [trial.params for trial in one] == [trial.params for trial in other]


def test_a_label_that_occurs_only_in_validation_costs_score_and_nothing_else(
    table: Table, search: Any, candidate: Candidate
) -> None:
    validation = table(120, 2)
    surprised = replace(validation, labels=np.where(np.arange(120) < 30, "never seen", validation.labels))
    (trial,) = search(candidate(LOGISTIC), validation=surprised)
    (usual,) = search(candidate(LOGISTIC))
    assert trial.error == ""
    assert trial.scores["accuracy"] < usual.scores["accuracy"] - 0.1


def test_a_category_that_occurs_only_in_validation_is_answered(table: Table, search: Any, candidate: Candidate) -> None:
    validation = table(120, 2)
    validation.rows.loc[:30, "carrier"] = "ZZ"
    for estimator in (LOGISTIC, BOOSTING, "sklearn.ensemble.GradientBoostingClassifier"):
        (trial,) = search(candidate(estimator), validation=validation)
        assert trial.error == ""
        assert trial.warnings == ()


def test_one_class_to_learn_from_is_a_failed_trial(table: Table, search: Any, candidate: Candidate) -> None:
    train = replace(table(200, 1), labels=np.array(["no"] * 200))
    (trial,) = search(candidate(LOGISTIC), train=train)
    assert trial.error.startswith("ValueError: ")


def test_a_metric_that_the_rows_cannot_tell_is_left_out(table: Table, search: Any, candidate: Candidate) -> None:
    (trial,) = search(candidate(LOGISTIC), validation=replace(table(120, 2), labels=np.array(["class 0"] * 120)))
    assert set(trial.scores) == {"log_loss", "brier", "accuracy", "balanced_accuracy"}


def test_what_an_estimator_warns_of_is_in_its_trial(search: Any, candidate: Candidate) -> None:
    quick, patient = search(candidate(LOGISTIC, max_iter=[1, 500]))
    assert quick.warnings == ("ConvergenceWarning: lbfgs failed to converge after 1 iteration(s) (status=1):",)
    assert patient.warnings == ()


def test_candidates_side_by_side_are_as_each_by_itself(search: Any, candidate: Candidate) -> None:
    spaces = [candidate(LOGISTIC, max_iter=[1, 2, 3]), candidate(BOOSTING, max_iter=[3, 4, 5])]

    def told(space: CandidateSpec) -> list[Any]:
        return [(trial.params, trial.scores, trial.warnings) for trial in search(space)]

    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(told, spaces))
    assert together == [told(space) for space in spaces]
    assert [len(warned) for found in together for _, _, warned in found] == [1, 1, 1, 0, 0, 0]


def test_a_column_without_a_value_is_left_out_and_no_column_at_all_is_refused(
    columns: Columns, search: Any, candidate: Candidate
) -> None:
    (trial,) = search(candidate(BOOSTING, max_iter=5))
    assert trial.error == ""
    with pytest.raises(NothingToLearnFrom, match="None of the 1 feature columns has a value in the 200 training rows"):
        search(candidate(BOOSTING), columns=columns[2:])


def test_each_trial_is_told_as_it_ends(
    search: Any, candidate: Candidate, moody: ImportRules, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[Trial] = []
    with caplog.at_level(logging.INFO, logger="everfresh.training.search"):
        trials = search(candidate("mine:make", name="tree", max_depth=[1, 3]), rules=moody, on_trial=told.append)
    assert tuple(told) == trials
    assert caplog.messages[0].startswith("Tried tree (max_depth 1): roc_auc 0.")
    assert caplog.messages[1] == "Tried tree (max_depth 3): failed with RuntimeError: not with 3"


def test_all_that_is_given_and_returned_can_be_sent_to_another_process(
    columns: Columns, table: Table, candidate: Candidate, tmp_path: Path
) -> None:
    task: Task = "classification"
    metric: Metric = "roc_auc"
    space = candidate(LOGISTIC, C=[1.0, 2.0])
    order = (space, columns, table(60, 1), table(40, 2), task, metric, ImportRules(directory=tmp_path))
    for library in (pickle, cloudpickle):
        space, cols, train, validation, task, metric, rules = library.loads(library.dumps(order))
        trials = search_candidate(
            space, cols, train, validation, task=task, metric=metric, trials=2, seed=0, rules=rules
        )
        assert library.loads(library.dumps(trials)) == trials
