from __future__ import annotations

import numpy as np
import pytest

from everfresh.evaluation.sufficiency import too_few_rows
from everfresh.spec.metrics import Metric


def labels(**counts: int) -> np.ndarray:
    return np.repeat(list(counts), list(counts.values()))


@pytest.mark.parametrize(("metric", "y", "classes", "why"), [
    ("log_loss", labels(no=40, yes=9), ("no", "yes"), "only 49 rows have a label, 50 are needed"),
    ("log_loss", labels(no=40, yes=10), ("no", "yes"), ""),
    ("log_loss", labels(no=90, yes=9), ("no", "yes"), "only 9 rows are of the class 'yes', 10 are needed"),
    ("log_loss", labels(a=90, b=10, c=1), ("a", "b", "c"), ""),
    ("roc_auc", labels(a=90, b=10, c=1), ("a", "b", "c"), "only 1 rows are of the class 'c', 10 are needed"),
    ("f1", labels(a=90, b=10, c=10), ("a", "b", "c"), ""),
    (None, labels(no=100), ("no", "yes"), "only 0 rows are of the class 'yes', 10 are needed"),
    ("accuracy", labels(z=100), ("no", "yes"), "only 0 rows are of the class 'yes', 10 are needed"),
    ("rmse", np.ones(50), (), ""),
    ("rmse", np.ones(3), (), "only 3 rows have a label, 50 are needed"),
])  # fmt: skip
def test_whether_the_labels_can_carry_a_judgement(
    metric: Metric, y: np.ndarray, classes: tuple[str, ...], why: str
) -> None:
    assert too_few_rows(metric, y, classes) == why
