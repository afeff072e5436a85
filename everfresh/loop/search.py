"""The search as orders that can be carried out anywhere: in a thread, or by a worker of a cluster."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import uuid4

from everfresh.data.columns import Column
from everfresh.loop.challenger import import_rules
from everfresh.loop.rows import LearningRows
from everfresh.loop.workspace import Workspace
from everfresh.spec.metrics import Metric, Task
from everfresh.spec.training import CandidateSpec
from everfresh.training.estimators import ImportRules
from everfresh.training.examples import Examples
from everfresh.training.search import search_candidate
from everfresh.training.trials import Trial


@dataclass(frozen=True)
class SearchOrder:
    """One candidate and all that its search needs; it can be pickled and sent to another machine."""

    candidate: CandidateSpec
    columns: tuple[Column, ...]
    train: Examples
    validation: Examples
    task: Task
    metric: Metric
    trials: int
    seed: int
    rules: ImportRules
    search: str
    """Orders of one search have the same."""


class Abandoned(Exception):
    """Nobody waits for the trials of this search any more."""


_abandoned: set[str] = set()


def orders(workspace: Workspace, rows: LearningRows) -> tuple[SearchOrder, ...]:
    """One order for each candidate, in the order of the spec."""
    spec, search = workspace.spec, uuid4().hex
    return tuple(
        SearchOrder(
            candidate=candidate,
            columns=rows.columns,
            train=rows.train,
            validation=rows.validation,
            task=spec.task,
            metric=spec.primary_metric,
            trials=spec.training.search.trials,
            seed=spec.training.seed,
            rules=import_rules(workspace),
            search=search,
        )
        for candidate in spec.candidates
    )


def search_one(order: SearchOrder) -> tuple[Trial, ...]:
    """Every trial of the order's candidate.

    Raises:
        Abandoned: it was, between two trials.
    """
    return search_candidate(
        order.candidate,
        order.columns,
        order.train,
        order.validation,
        task=order.task,
        metric=order.metric,
        trials=order.trials,
        seed=order.seed,
        rules=order.rules,
        on_trial=lambda trial: _go_on(order),
    )


@contextmanager
def abandoned_on_error(given: Sequence[SearchOrder]) -> Iterator[None]:
    """Let orders end with the trial that they are at, if the block raises and threads of this process carry them out.

    A thread cannot be ended from outside: whoever gives up would wait for all the trials that are still to come.
    """
    try:
        yield
    except BaseException:
        _abandoned.update(order.search for order in given)
        raise


def _go_on(order: SearchOrder) -> None:
    if order.search in _abandoned:
        raise Abandoned
