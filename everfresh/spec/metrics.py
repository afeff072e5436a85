"""The metrics that a spec may name, and for which tasks and in which direction they are meant."""

from __future__ import annotations

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
BOUNDED_BY_ONE: frozenset[Metric] = frozenset({
    "roc_auc", "brier", "accuracy", "balanced_accuracy", "f1", "precision", "recall", "average_precision",
})  # fmt: skip


def higher_is_better(metric: Metric) -> bool:
    """Whether a larger score is a better one.

    >>> higher_is_better("roc_auc"), higher_is_better("log_loss")
    (True, False)
    """
    return metric not in LOWER_IS_BETTER
