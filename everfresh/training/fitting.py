"""The last fit: the chosen trial once more, on all rows that are not held out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter

import pandas as pd
from sklearn.pipeline import Pipeline

from everfresh.data.columns import Column
from everfresh.errors import FitFailed
from everfresh.evaluation.metrics import Answer
from everfresh.spec.metrics import Task
from everfresh.spec.training import CandidateSpec, Value
from everfresh.training.answers import answer_of, classes_of
from everfresh.training.cores import fair_share
from everfresh.training.estimators import ImportRules, make_estimator
from everfresh.training.examples import Examples, columns_with_values
from everfresh.training.pipeline import build_pipeline
from everfresh.training.trials import Trial
from everfresh.training.warned import heard_warnings


@dataclass(frozen=True)
class Fitted:
    """A fitted pipeline and what must be known to use it.

    Attributes:
        pipeline: the steps `prepare` and `model`; reads a model frame.
        task: which kind of answer it gives.
        classes: the order of its answer's columns; empty for a regression.
        columns: what its model frame holds; the pipeline leaves out those that had no value to learn from.
        candidate: the name of the candidate.
        params: the parameters of the trial.
        seconds: how long the fit took, with the preparation of the rows.
        warnings: what was warned of meanwhile, each once.
    """

    pipeline: Pipeline
    task: Task
    classes: tuple[str, ...]
    columns: tuple[Column, ...]
    candidate: str
    params: Mapping[str, Value]
    seconds: float
    warnings: tuple[str, ...] = ()

    def answer(self, rows: pd.DataFrame) -> Answer:
        """Its answer on a model frame of `columns`."""
        return answer_of(self.pipeline, rows, self.task)


def fit(
    trial: Trial,
    candidate: CandidateSpec,
    columns: Sequence[Column],
    examples: Examples,
    *,
    task: Task,
    seed: int,
    rules: ImportRules,
) -> Fitted:
    """The pipeline of `trial`, fitted on `examples`: the training and the validation rows together.

    Raises:
        FitFailed: the trial succeeded on the training rows, and this fit does not.
        NothingToLearnFrom: no column has a value.
    """
    usable = columns_with_values(columns, examples.rows)
    started = perf_counter()
    with heard_warnings() as warnings, fair_share():
        try:
            pipeline = build_pipeline(make_estimator(candidate, trial.params, seed=seed, rules=rules), usable)
            pipeline.fit(examples.rows, examples.labels)
        except Exception as error:  # an estimator may raise anything
            raise FitFailed(str(trial), f"{type(error).__name__}: {error}") from error
    return Fitted(
        pipeline=pipeline,
        task=task,
        classes=classes_of(pipeline, task),
        columns=tuple(columns),
        candidate=candidate.name,
        params=trial.params,
        seconds=perf_counter() - started,
        warnings=tuple(warnings),
    )
