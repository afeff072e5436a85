from __future__ import annotations

import pickle
from collections.abc import Callable
from types import ModuleType

import cloudpickle
import numpy as np
import pytest

from everfresh.data.columns import Column
from everfresh.errors import FitFailed, NothingToLearnFrom
from everfresh.spec.training import CandidateSpec
from everfresh.training.estimators import ImportRules
from everfresh.training.examples import Examples, joined
from everfresh.training.fitting import Fitted, fit
from everfresh.training.trials import Trial

Columns = tuple[Column, ...]
Table = Callable[..., Examples]
Candidate = Callable[..., CandidateSpec]

RULES = ImportRules()
LOGISTIC = "sklearn.linear_model.LogisticRegression"


@pytest.fixture
def fitted(columns: Columns, table: Table, candidate: Candidate) -> Fitted:
    chosen, trial = candidate(LOGISTIC, name="logistic"), Trial("logistic", {"C": 0.5})
    return fit(trial, chosen, columns, table(150), task="classification", seed=3, rules=RULES)


def test_the_chosen_trial_is_fitted_with_its_parameters(fitted: Fitted, columns: Columns) -> None:
    model = fitted.pipeline.named_steps["model"]
    assert (model.C, model.random_state) == (0.5, 3)
    assert (fitted.candidate, fitted.params, fitted.classes) == ("logistic", {"C": 0.5}, ("class 0", "class 1"))
    assert fitted.columns == columns
    assert fitted.seconds > 0
    assert fitted.warnings == ()


def test_its_answer_is_probabilities_in_the_order_of_its_classes(fitted: Fitted, table: Table) -> None:
    new = table(50, 9)
    answer = fitted.answer(new.rows)
    assert (answer.dtype, answer.shape) == (np.float64, (50, 2))
    np.testing.assert_allclose(answer.sum(axis=1), 1)
    assert np.mean(np.array(fitted.classes)[answer.argmax(axis=1)] == new.labels) > 0.7


def test_a_regression_answers_with_values(columns: Columns, table: Table, candidate: Candidate) -> None:
    ridge = candidate("sklearn.linear_model.Ridge")
    fitted = fit(Trial("c", {}), ridge, columns, table(150, 0, 0), task="regression", seed=0, rules=RULES)
    assert fitted.classes == ()
    assert fitted.answer(table(5, 1, 0).rows).shape == (5,)


def test_it_leaves_out_what_has_no_value_even_if_a_request_has_one(fitted: Fitted, table: Table) -> None:
    rows = table(10).rows
    np.testing.assert_array_equal(fitted.answer(rows), fitted.answer(rows.assign(empty=5.0)))


def test_two_fits_with_one_seed_are_equal(columns: Columns, table: Table, candidate: Candidate) -> None:
    forest, trial = candidate("sklearn.ensemble.RandomForestClassifier"), Trial("c", {"n_estimators": 5})

    def answer(seed: int) -> list[list[float]]:
        fitted = fit(trial, forest, columns, table(150), task="classification", seed=seed, rules=RULES)
        return fitted.answer(table(20, 5).rows).tolist()

    assert answer(1) == answer(1) != answer(2)


def test_a_fit_that_fails_names_the_trial_and_the_reason(columns: Columns, table: Table, candidate: Candidate) -> None:
    one_class = Examples(table(20).rows, np.array(["no"] * 20))
    with pytest.raises(FitFailed, match=r"logistic \(C 1\) was chosen, but its fit .* failed: ValueError: "):
        fit(
            Trial("logistic", {"C": 1}), candidate(LOGISTIC), columns, one_class,
            task="classification", seed=0, rules=RULES,
        )  # fmt: skip


def test_no_values_at_all_are_refused(columns: Columns, table: Table, candidate: Candidate) -> None:
    with pytest.raises(NothingToLearnFrom):
        fit(Trial("c", {}), candidate(LOGISTIC), columns[2:], table(20), task="classification", seed=0, rules=RULES)


def test_what_was_warned_of_is_kept(columns: Columns, table: Table, candidate: Candidate) -> None:
    trial = Trial("c", {"max_iter": 1})
    fitted = fit(trial, candidate(LOGISTIC), columns, table(150), task="classification", seed=0, rules=RULES)
    assert fitted.warnings == ("ConvergenceWarning: lbfgs failed to converge after 1 iteration(s) (status=1):",)


@pytest.mark.parametrize("library", [pickle, cloudpickle], ids=["pickle", "cloudpickle"])
def test_a_fitted_model_can_be_sent_to_another_process(fitted: Fitted, table: Table, library: ModuleType) -> None:
    back = library.loads(library.dumps(fitted))
    np.testing.assert_array_equal(back.answer(table(5).rows), fitted.answer(table(5).rows))


def test_training_and_validation_rows_are_learned_from_together(
    columns: Columns, table: Table, candidate: Candidate
) -> None:
    both = joined(table(100, 1), table(50, 2))
    fitted = fit(Trial("c", {}), candidate(LOGISTIC), columns, both, task="classification", seed=0, rules=RULES)
    encoder = fitted.pipeline.named_steps["prepare"].named_transformers_["categories"].named_steps["encode"]
    assert encoder.categories_[0].tolist() == ["(missing)", "AA", "B6", "UA"]
