"""What served, what never was retrained, and what knows only the majority: scored on the same served rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from everfresh.data.inference_log import ANSWER_PREFIX, VALUE
from everfresh.evaluation.evidence import align_answer
from everfresh.evaluation.metrics import Answer, Labels, score
from everfresh.replay.report import Scores
from everfresh.spec.metrics import Metric, Task

REPORTED: dict[Task, tuple[Metric, ...]] = {"classification": ("roc_auc", "log_loss"), "regression": ("rmse", "mae")}


@dataclass(frozen=True)
class Rival:
    """Another answer to the served rows, and the classes that it is about; none for a regression."""

    answer: Answer
    classes: tuple[str, ...]


def scores_of_month(served: pd.DataFrame, task: Task, rivals: Mapping[str, Rival]) -> Scores:
    """The scores of one month's labelled rows.

    A class that somebody does not know, because it came up later, has no chance in that one's answers.

    Args:
        served: rows of the log beside their labels.
        task: which metrics there are.
        rivals: other answers to the same rows.
    """
    has_label = served["label"].notna().to_numpy()
    labelled = served[has_label]
    given = _given(labelled, task)
    answers = {"served": given} | {who: Rival(each.answer[has_label], each.classes) for who, each in rivals.items()}
    classes = tuple(sorted({name for each in answers.values() for name in each.classes}))
    labels = _labels(labelled, task)
    return {
        metric: {who: _finite(score(metric, labels, _aligned(each, classes), classes)) for who, each in answers.items()}
        for metric in REPORTED[task]
    }


def _given(labelled: pd.DataFrame, task: Task) -> Rival:
    """The answers as they were given, by whichever versions."""
    if task == "regression":
        return Rival(labelled[VALUE].to_numpy(dtype=np.float64), ())
    columns = [name for name in labelled.columns if name.startswith(ANSWER_PREFIX)]
    answer = labelled[columns].fillna(0.0).to_numpy(dtype=np.float64)
    return Rival(answer, tuple(name.removeprefix(ANSWER_PREFIX) for name in columns))


def _labels(labelled: pd.DataFrame, task: Task) -> Labels:
    if task == "classification":
        return labelled["label"].to_numpy(dtype=object)
    return labelled["label"].astype("float64").to_numpy()


def _aligned(rival: Rival, classes: Sequence[str]) -> Answer:
    return align_answer(rival.answer, rival.classes, classes) if classes else rival.answer


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
