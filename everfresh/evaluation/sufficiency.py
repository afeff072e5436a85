"""Whether there are enough rows to say anything."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from everfresh.evaluation.metrics import Labels, class_codes
from everfresh.spec.metrics import Metric

MIN_ROWS = 50
MIN_ROWS_OF_A_CLASS = 10

_EACH_CLASS_COUNTS: frozenset[Metric] = frozenset(
    {"roc_auc", "average_precision", "balanced_accuracy", "f1", "precision", "recall"}
)


def too_few_rows(metric: Metric | None, y: Labels, classes: Sequence[str]) -> str:
    """Why these labels cannot carry a judgement, as a clause; empty where they can.

    Every judgement needs 50 rows, and in a classification 10 rows in each of two classes. Metrics that give every
    class the same weight, however rare it is, need 10 rows of each class.

    >>> too_few_rows("log_loss", np.array(["no"] * 60 + ["yes"] * 4), ("no", "yes"))
    "only 4 rows are of the class 'yes', 10 are needed"
    """
    if len(y) < MIN_ROWS:
        return f"only {len(y)} rows have a label, {MIN_ROWS} are needed"
    if not classes:
        return ""
    counts = np.bincount(class_codes(y, classes), minlength=len(classes))[: len(classes)]
    needed = len(classes) if metric in _EACH_CLASS_COUNTS else 2
    rarest = np.argsort(-counts, kind="stable")[:needed][-1]
    if counts[rarest] >= MIN_ROWS_OF_A_CLASS:
        return ""
    return f"only {counts[rarest]} rows are of the class {classes[rarest]!r}, {MIN_ROWS_OF_A_CLASS} are needed"
