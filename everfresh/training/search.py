"""The search: every candidate's trials, each fitted on the training rows and scored on the validation rows."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from time import perf_counter
from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray
from sklearn.base import BaseEstimator

from everfresh.data.columns import Column
from everfresh.evaluation.metrics import score
from everfresh.spec.metrics import TASK_METRICS, Metric, Task, higher_is_better
from everfresh.spec.training import CandidateSpec
from everfresh.training.answers import answer_of, classes_of
from everfresh.training.cores import fair_share
from everfresh.training.estimators import ImportRules, make_estimator
from everfresh.training.examples import Examples, columns_with_values
from everfresh.training.pipeline import InputForm, build_preparation, input_form
from everfresh.training.search_space import Params, SearchSpace, search_space
from everfresh.training.trials import Trial
from everfresh.training.warned import heard_warnings

logger = logging.getLogger(__name__)

ASKS_PER_TRIAL = 5
"""How often the sampler may be asked for each trial: it proposes again what it has already tried."""


def search_candidate(
    candidate: CandidateSpec,
    columns: Sequence[Column],
    train: Examples,
    validation: Examples,
    *,
    task: Task,
    metric: Metric,
    trials: int,
    seed: int,
    rules: ImportRules,
    on_trial: Callable[[Trial], None] | None = None,
) -> tuple[Trial, ...]:
    """At most `trials` trials of one candidate, in the order in which they ran.

    Where there are no more than `trials` combinations, each is tried once; else Optuna's TPE proposes, from `seed`. A
    trial that raises is a failed trial among the others. Everything given and returned can be pickled, so that
    candidates can be searched side by side in other processes; `on_trial` is told of each trial as it ends.

    Raises:
        NothingToLearnFrom: no column has a value in the training rows.
    """
    bench = _Bench(candidate, columns, train, validation, task, seed, rules)
    space = search_space(candidate)
    run = _announced(bench.run, metric, on_trial)
    if space.size is not None and space.size <= trials:
        return tuple(run(params) for params in space.combinations())
    return tuple(_sampled(run, space, metric, trials, seed))


class _Bench:
    """The rows of one candidate's trials, prepared once for each form of input and not once for each trial."""

    def __init__(
        self,
        candidate: CandidateSpec,
        columns: Sequence[Column],
        train: Examples,
        validation: Examples,
        task: Task,
        seed: int,
        rules: ImportRules,
    ) -> None:
        self._candidate = candidate
        self._columns = columns_with_values(columns, train.rows)
        self._train = train
        self._validation = validation
        self._task = task
        self._seed = seed
        self._rules = rules
        self._prepared: dict[InputForm, tuple[NDArray[np.float64], NDArray[np.float64]]] = {}

    def run(self, params: Params) -> Trial:
        """Fit and score once; what goes wrong is in the trial."""
        with heard_warnings() as warnings, fair_share():
            try:
                estimator = make_estimator(self._candidate, params, seed=self._seed, rules=self._rules)
                train, validation = self._matrices(input_form(estimator))
                started = perf_counter()
                estimator.fit(train, self._train.labels)
                seconds = perf_counter() - started
                scores = self._scores(estimator, validation)
            except Exception as error:  # an estimator may raise anything, and the other trials go on
                reason = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
                return Trial(self._candidate.name, params, error=reason, warnings=tuple(warnings))
        return Trial(self._candidate.name, params, scores, seconds, warnings=tuple(warnings))

    def _matrices(self, form: InputForm) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        if form not in self._prepared:
            preparation = build_preparation(form, self._columns)
            train = preparation.fit_transform(self._train.rows)
            self._prepared[form] = (train, preparation.transform(self._validation.rows))
        return self._prepared[form]

    def _scores(self, fitted: BaseEstimator, validation: NDArray[np.float64]) -> dict[Metric, float]:
        answer, classes = answer_of(fitted, validation, self._task), classes_of(fitted, self._task)
        scores = {name: score(name, self._validation.labels, answer, classes) for name in TASK_METRICS[self._task]}
        return {name: value for name, value in scores.items() if not math.isnan(value)}


def _announced(
    run: Callable[[Params], Trial], metric: Metric, on_trial: Callable[[Trial], None] | None
) -> Callable[[Params], Trial]:
    def run_and_tell(params: Params) -> Trial:
        trial = run(params)
        if trial.error:
            logger.info("Tried %s: failed with %s", trial, trial.error)
        else:
            logger.info("Tried %s: %s %.4f in %.1f s", trial, metric, trial.score(metric), trial.seconds)
        if on_trial is not None:
            on_trial(trial)
        return trial

    return run_and_tell


def _sampled(
    run: Callable[[Params], Trial], space: SearchSpace, metric: Metric, trials: int, seed: int
) -> Iterator[Trial]:
    """Trials where the sampler proposes; what it proposes twice is fitted once."""
    study = _study(metric, seed)
    distributions = space.distributions()
    done: dict[tuple[tuple[str, Any], ...], Trial] = {}
    for _ in range(trials * ASKS_PER_TRIAL):
        if len(done) == trials:
            return
        proposal = study.ask(distributions)
        params = dict(proposal.params)
        key = tuple((name, repr(value)) for name, value in params.items())
        if key not in done:
            done[key] = run(params)
            yield done[key]
        value = done[key].score(metric)
        if math.isnan(value):
            study.tell(proposal, state=optuna.trial.TrialState.FAIL)
        else:
            study.tell(proposal, value)


def _study(metric: Metric, seed: int) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # each trial has its own line already
    direction = "maximize" if higher_is_better(metric) else "minimize"
    return optuna.create_study(direction=direction, sampler=optuna.samplers.TPESampler(seed=seed))
