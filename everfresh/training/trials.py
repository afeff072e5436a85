"""One attempt at a candidate: what was tried and how it went."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from everfresh.spec.metrics import Metric
from everfresh.spec.training import Value


@dataclass(frozen=True)
class Trial:
    """A candidate with one choice of its parameters, fitted on the training rows and scored on the validation rows.

    Attributes:
        candidate: the candidate's name.
        params: the values that were tried.
        scores: every metric of the task that these rows can tell; empty where the trial failed.
        seconds: how long the estimator took to fit, without the preparation of the rows.
        error: why it failed, as "ValueError: ..."; empty where it did not.
        warnings: what the estimator warned of, each once, as "ConvergenceWarning: ...".
    """

    candidate: str
    params: Mapping[str, Value]
    scores: Mapping[Metric, float] = field(default_factory=dict)
    seconds: float = 0.0
    error: str = ""
    warnings: tuple[str, ...] = ()

    def score(self, metric: Metric) -> float:
        """Its score; NaN where it has none."""
        return self.scores.get(metric, math.nan)

    def __str__(self) -> str:
        """The candidate with its parameters, as in "boosting (learning_rate 0.1)"."""
        if not self.params:
            return self.candidate
        chosen = ", ".join(f"{name} {_short(value)}" for name, value in self.params.items())
        return f"{self.candidate} ({chosen})"


def _short(value: Value) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
