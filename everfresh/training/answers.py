"""What a fitted model says, in the one form that all layers share."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

from everfresh.evaluation.metrics import Answer
from everfresh.spec.metrics import Task


def answer_of(fitted: BaseEstimator, rows: Any, task: Task) -> Answer:
    """The answer of a fitted pipeline on a model frame, or of its last step on a prepared matrix.

    Float64: probabilities [rows, classes] in the order of `classes_of`, or values [rows].
    """
    if task == "classification":
        return np.asarray(fitted.predict_proba(rows), dtype=np.float64)
    return np.asarray(fitted.predict(rows), dtype=np.float64).reshape(-1)


def classes_of(fitted: BaseEstimator, task: Task) -> tuple[str, ...]:
    """The classes in the order of the answer's columns; empty for a regression."""
    return tuple(str(name) for name in fitted.classes_) if task == "classification" else ()
