"""The metrics that a spec may name, and for which tasks and in which direction they are meant."""

from __future__ import annotations

import math
from typing import Literal

Task = Literal["classification", "regression"]
Metric = Literal[
    "roc_auc", "log_loss", "brier", "accuracy", "balanced_accuracy", "f1", "precision", "recall", "average_precision",
    "rmse", "mae", "r2",
]  # fmt: skip

TASK_METRICS: dict[Task, tuple[Metric, ...]] = {
    "classification": (
        "roc_auc", "log_loss", "brier", "accuracy", "balanced_accuracy", "f1", "precision", "recall",
        "average_precision",
    ),
    "regression": ("rmse", "mae", "r2"),
}  # fmt: skip
DEFAULT_METRIC: dict[Task, Metric] = {"classification": "log_loss", "regression": "rmse"}
LOWER_IS_BETTER: frozenset[Metric] = frozenset({"log_loss", "brier", "rmse", "mae"})
_FROM_ZERO_ON: frozenset[Metric] = frozenset({"log_loss", "rmse", "mae"})


def higher_is_better(metric: Metric) -> bool:
    """Whether a larger score is a better one.

    >>> higher_is_better("roc_auc"), higher_is_better("log_loss")
    (True, False)
    """
    return metric not in LOWER_IS_BETTER


def possible_scores(metric: Metric) -> tuple[float, float]:
    """The smallest and the largest score that there is.

    >>> possible_scores("roc_auc"), possible_scores("r2")
    ((0.0, 1.0), (-inf, 1.0))
    """
    if metric in _FROM_ZERO_ON:
        return 0.0, math.inf
    return (-math.inf, 1.0) if metric == "r2" else (0.0, 1.0)
