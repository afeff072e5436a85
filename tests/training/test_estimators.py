from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sklearn.calibration import CalibratedClassifierCV

from everfresh.errors import ImportFailed, ImportRefused
from everfresh.spec.faults import Fault
from everfresh.spec.metrics import Task
from everfresh.spec.training import CandidateSpec
from everfresh.training.estimators import ImportRules, check_candidates, make_estimator

Candidate = Callable[..., CandidateSpec]

RULES = ImportRules()
LOGISTIC = "sklearn.linear_model.LogisticRegression"
BOOSTING = "sklearn.ensemble.HistGradientBoostingClassifier"

MINE = """\
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import RandomForestClassifier
from sklearn.svm import LinearSVC

CONSTANT = 3


def calibrated(C=1.0, folds=3):
    return CalibratedClassifierCV(LinearSVC(C=C), cv=folds)


def seeded():
    return RandomForestClassifier(random_state=42)


def not_an_estimator():
    return object()


def moody(level=1):
    if level > 1:
        raise RuntimeError("level is too high")
    return calibrated()


class Own(ClassifierMixin, BaseEstimator):
    def __init__(self, strength=1.0):
        self.strength = strength

    def fit(self, X, y):
        return self

    def predict_proba(self, X):
        return None
"""


@pytest.fixture
def mine(tmp_path: Path) -> ImportRules:
    (tmp_path / "mine.py").write_text(MINE)
    return ImportRules(directory=tmp_path)


def test_the_seed_is_the_random_state_of_every_part_that_has_none(candidate: Candidate, mine: ImportRules) -> None:
    made = make_estimator(candidate("mine:calibrated"), {"C": 2.0}, seed=5, rules=mine)
    assert isinstance(made, CalibratedClassifierCV)
    assert (made.estimator.C, made.estimator.random_state) == (2.0, 5)


def test_a_random_state_that_somebody_chose_stays(candidate: Candidate, mine: ImportRules) -> None:
    assert make_estimator(candidate("mine:seeded"), {}, seed=5, rules=mine).random_state == 42
    assert make_estimator(candidate(BOOSTING), {"random_state": 7}, seed=5, rules=RULES).random_state == 7
    assert make_estimator(candidate(BOOSTING), {"random_state": None}, seed=5, rules=RULES).random_state is None


def test_an_estimator_is_not_imported_from_anywhere(candidate: Candidate) -> None:
    with pytest.raises(ImportRefused, match=r"'os\.system' may not be imported"):
        make_estimator(candidate("os.system"), {}, seed=0, rules=RULES)


def test_a_path_that_leads_to_no_callable_is_refused(candidate: Candidate, mine: ImportRules) -> None:
    with pytest.raises(
        ImportFailed, match="'mine:CONSTANT' could not be imported: it is neither a class nor a function"
    ):
        make_estimator(candidate("mine:CONSTANT"), {}, seed=0, rules=mine)


@pytest.mark.parametrize(("estimator", "params", "task"), [
    (LOGISTIC, {"C": [0.1, 1], "solver": "newton-cholesky"}, "classification"),
    (BOOSTING, {"learning_rate": {"low": 0.01, "high": 1.0, "log": True}, "max_depth": [3, None]}, "classification"),
    ("sklearn.svm.SVC", {"probability": True}, "classification"),
    ("sklearn.linear_model.Ridge", {}, "regression"),
    ("sklearn.ensemble.HistGradientBoostingRegressor", {"loss": ["squared_error", "poisson"]}, "regression"),
    ("mine:calibrated", {"C": [1, 2], "folds": 5}, "classification"),
    ("mine:Own", {"strength": "any"}, "classification"),
])  # fmt: skip
def test_what_can_be_fitted_has_no_fault(
    candidate: Candidate, mine: ImportRules, estimator: str, params: dict[str, Any], task: Task
) -> None:
    assert check_candidates([candidate(estimator, **params)], task, mine) == ()


@pytest.mark.parametrize(("estimator", "params", "task", "path", "read", "allowed"), [
    ("sklearn.svm.LinearSVC", {}, "classification", "estimator", "'sklearn.svm.LinearSVC'",
     "LinearSVC gives no probabilities: wrap it in sklearn.calibration.CalibratedClassifierCV, in a function of your "
     "own named as `module:function`"),
    ("sklearn.svm.SVC", {"C": 2}, "classification", "estimator", "'sklearn.svm.SVC'",
     "SVC gives no probabilities with C 2: wrap it in sklearn.calibration.CalibratedClassifierCV, in a function of "
     "your own named as `module:function`"),
    ("sklearn.linear_model.Ridge", {"alhpa": 1}, "regression", "params.alhpa", "'alhpa'",
     "did you mean 'alpha'? Ridge has alpha, fit_intercept, copy_X, max_iter, tol, solver, positive, random_state"),
    ("sklearn.naive_bayes.GaussianNB", {"zzz": 1}, "classification", "params.zzz", "'zzz'",
     "GaussianNB has priors, var_smoothing"),
    ("sklearn.linear_model.Ridge", {"alpha": [1, -1]}, "regression", "params.alpha", "-1",
     "The 'alpha' parameter of Ridge must be a float in the range [0.0, inf) or an array-like. Got -1 instead."),
    ("sklearn.linear_model.Ridge", {"alpha": []}, "regression", "params.alpha", "an empty list",
     "a list of values to try has at least one"),
    ("sklearn.linear_model.Ridge", {}, "classification", "estimator", "'sklearn.linear_model.Ridge'",
     "for classification it is a classifier; Ridge is not"),
    (LOGISTIC, {}, "regression", "estimator", f"'{LOGISTIC}'",
     "for regression it is a regressor; LogisticRegression is not"),
    ("sklearn.preprocessing.StandardScaler", {}, "regression", "estimator", "'sklearn.preprocessing.StandardScaler'",
     "for regression it is a regressor; StandardScaler is not"),
    (BOOSTING, {"categorical_features": "from_dtype"}, "classification", "params.categorical_features",
     "categorical_features",
     "leave it out: categories already reach it as numbers, and are no categories to it any more"),
    ("sklearn.linear_model.Ridg", {}, "regression", "estimator", "'sklearn.linear_model.Ridg'",
     "'sklearn.linear_model.Ridg' could not be imported: sklearn.linear_model has no 'Ridg'."),
    ("mine:not_an_estimator", {}, "classification", "estimator", "'mine:not_an_estimator'",
     "an estimator of scikit-learn, with fit and get_params"),
    ("mine:moody", {"level": [1, 2]}, "classification", "estimator", "'mine:moody'",
     "moody could not be made: level is too high; write a function that returns it, as `module:function`"),
])  # fmt: skip
def test_what_cannot_be_fitted_is_known_before_it_is_tried(
    candidate: Candidate, mine: ImportRules, estimator: str, params: dict[str, Any], task: Task,
    path: str, read: str, allowed: str,
) -> None:  # fmt: skip
    fine = candidate("sklearn.dummy.DummyClassifier" if task == "classification" else "sklearn.dummy.DummyRegressor")
    found = check_candidates([fine, candidate(estimator, **params)], task, mine)
    assert found == (Fault(f"training.candidates[1].{path}", read, allowed),)


def test_a_refused_import_says_how_to_allow_it(candidate: Candidate) -> None:
    (fault,) = check_candidates([candidate("xgboost.XGBClassifier")], "classification", RULES)
    assert fault.path == "training.candidates[0].estimator"
    assert "add its package to EVERFRESH_ALLOWED_IMPORTS" in fault.allowed


def test_compiled_code_that_does_not_tell_its_parameters_is_a_fault_and_no_crash(candidate: Candidate) -> None:
    allowed = ImportRules(allowed=("builtins.",))
    (fault,) = check_candidates([candidate("builtins.iter", x=1)], "classification", allowed)
    assert fault.path == "training.candidates[0].estimator"


def test_every_value_is_tried_and_each_fault_told_once(candidate: Candidate) -> None:
    found = check_candidates([candidate(LOGISTIC, C=[-1, 1, -2], solver=["newton", "lbfgs"])], "classification", RULES)
    assert {(fault.path.rpartition(".")[2], fault.read) for fault in found} == {
        ("C", "-1"), ("C", "-2"), ("solver", "'newton'"),
    }  # fmt: skip
