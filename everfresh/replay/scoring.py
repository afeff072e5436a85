"""What served, what never was retrained, and what knows only the majority: scored on the same served rows."""

from __future__ import annotations

import numpy as np
import pandas as pd

from everfresh.data.inference_log import ANSWER_PREFIX, FEATURE_PREFIX, VALUE
from everfresh.evaluation.baseline import Baseline
from everfresh.evaluation.metrics import Answer, Labels, score
from everfresh.packaging.batch import batch_of
from everfresh.packaging.bundle import Bundle
from everfresh.packaging.scorer import Scorer
from everfresh.replay.report import Scores
from everfresh.spec.metrics import Metric, Task

REPORTED: dict[Task, tuple[Metric, ...]] = {"classification": ("roc_auc", "log_loss"), "regression": ("rmse", "mae")}


def scores_of_month(served: pd.DataFrame, first: Bundle, first_scorer: Scorer, baseline: Baseline) -> Scores:
    """The scores of one month's labelled rows.

    Args:
        served: rows of the log beside their labels.
        first: the first champion, which is the one that was never retrained.
        first_scorer: what answers for it.
        baseline: what knew only the labels that the first champion learned from.
    """
    labelled = served[served["label"].notna()]
    task, classes = first.manifest.task, first.manifest.classes
    y = _labels(labelled, task)
    answers = {
        "served": _logged(labelled, classes),
        "never_retrained": _asked_again(labelled, first, first_scorer),
        "majority": baseline.answer(len(labelled)),
    }
    return {
        metric: {who: _finite(score(metric, y, answer, classes)) for who, answer in answers.items()}
        for metric in REPORTED[task]
    }


def _labels(labelled: pd.DataFrame, task: Task) -> Labels:
    if task == "classification":
        return labelled["label"].to_numpy(dtype=object)
    return labelled["label"].astype("float64").to_numpy()


def _logged(labelled: pd.DataFrame, classes: tuple[str, ...]) -> Answer:
    """The answers as they were given; a class that the answering version did not know had no chance."""
    if not classes:
        return labelled[VALUE].to_numpy(dtype=np.float64)
    names = [f"{ANSWER_PREFIX}{name}" for name in classes]
    return labelled.reindex(columns=names).fillna(0.0).to_numpy(dtype=np.float64)


def _asked_again(labelled: pd.DataFrame, bundle: Bundle, scorer: Scorer) -> Answer:
    columns = bundle.manifest.columns
    features = labelled[[f"{FEATURE_PREFIX}{column.name}" for column in columns]]
    frame = features.rename(columns=lambda name: name.removeprefix(FEATURE_PREFIX))
    return scorer.score(batch_of(frame, columns)) if len(frame) else np.empty((0, *(bundle.manifest.classes and (2,))))


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
