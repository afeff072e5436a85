"""Which of the trials becomes the challenger."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from everfresh.errors import NoTrialSucceeded
from everfresh.spec.metrics import Metric, higher_is_better
from everfresh.training.trials import Trial

TIE = 1e-4
"""Two scores whose difference is at most this share of the larger one are a tie."""


@dataclass(frozen=True)
class Choice:
    """The trial that won, and why in one clause."""

    trial: Trial
    reason: str


def choose(trials: Sequence[Trial], metric: Metric) -> Choice:
    """The best trial by `metric` on the validation rows.

    Of those that tie with the best, the first one wins: specs name simple candidates first, and unlike a measured
    time, the order of a spec chooses the same trial again tomorrow.

    Raises:
        NoTrialSucceeded: no trial has a score.

    >>> trials = [Trial("logistic", {}, {"roc_auc": 0.681}), Trial("boosting", {"depth": 3}, {"roc_auc": 0.712})]
    >>> choose(trials, "roc_auc").reason
    'boosting (depth 3) has the best roc_auc on validation, 0.712; next is logistic, 0.681'
    """
    scored = [trial for trial in trials if math.isfinite(trial.score(metric))]
    if not scored:
        raise NoTrialSucceeded(_first_reasons(trials, metric))
    best_score = _best(scored, metric).score(metric)
    best = next(trial for trial in scored if _ties(trial.score(metric), best_score))
    return Choice(
        best, f"{best} has the best {metric} on validation, {best.score(metric):.3f}{_next(best, scored, metric)}"
    )


def _best(trials: Sequence[Trial], metric: Metric) -> Trial:
    pick = max if higher_is_better(metric) else min
    return pick(trials, key=lambda trial: trial.score(metric))


def _ties(score: float, best: float) -> bool:
    return math.isclose(score, best, rel_tol=TIE)


def _next(best: Trial, scored: Sequence[Trial], metric: Metric) -> str:
    """The best trial of the other candidates, to show by how much it was won."""
    others = [trial for trial in scored if trial.candidate != best.candidate]
    if not others:
        return ""
    second = _best(others, metric)
    if _ties(second.score(metric), best.score(metric)):
        return f"; {second} is as good and comes later in the spec"
    return f"; next is {second}, {second.score(metric):.3f}"


def _first_reasons(trials: Sequence[Trial], metric: Metric) -> dict[str, str]:
    reasons: dict[str, str] = {}
    for trial in trials:
        reasons.setdefault(trial.candidate, trial.error or f"{metric} cannot be computed on the validation rows")
    return reasons
