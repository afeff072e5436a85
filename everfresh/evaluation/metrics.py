"""Scores of answers.

An *answer* is a float64 array: probabilities [rows, classes] in the order of `classes` for classification,
values [rows] for regression. Labels `y` are text for classification, float64 for regression. A label that is not
among `classes` is one that the model cannot answer: it always counts as wrong, with probability 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from everfresh.evaluation.ranking import Ranking
from everfresh.evaluation.sums import dot
from everfresh.spec.metrics import Metric

Answer: TypeAlias = NDArray[np.float64]
Labels: TypeAlias = NDArray[Any]
Weights: TypeAlias = NDArray[np.float64]
Scorer: TypeAlias = Callable[[Weights], float]
"""A metric on fixed rows, as a function of how often each row counts: what a bootstrap draws again and again."""

LOG_LOSS_FLOOR = 1e-15
"""The smallest probability that log_loss believes, so that one sure mistake costs 34.5 and not infinity."""


def score(metric: Metric, y: Labels, answer: Answer, classes: Sequence[str] = ()) -> float:
    """The score of `answer` on `y`; NaN where these rows cannot tell, which callers report as INSUFFICIENT.

    For two classes, the second one is the positive class of roc_auc, average_precision, f1, precision and recall. For
    more, those are the plain mean over the classes that occur in `y`, each against the rest. They are NaN where no
    class can be scored: roc_auc needs a positive and a negative row, the others a positive one. `brier` is half the
    squared distance to the truth, which lies between 0 and 1 and is the usual score for two classes. r2 is NaN where
    all labels are equal. All are NaN without rows, and where the answer itself holds a NaN or an
    infinity.

    Raises:
        ValueError: the shapes do not fit each other.

    >>> y, answer = np.array(["no", "no", "yes", "yes"]), np.array([[0.9, 0.1], [0.6, 0.4], [0.65, 0.35], [0.2, 0.8]])
    >>> score("roc_auc", y, answer, ("no", "yes")), score("accuracy", y, answer, ("no", "yes"))
    (0.75, 0.75)
    """
    return scorer(metric, y, answer, classes)(np.ones(len(y)))


def scorer(metric: Metric, y: Labels, answer: Answer, classes: Sequence[str] = ()) -> Scorer:
    """`score` as a function of the rows' weights: all that does not depend on the weights is done once, here.

    Raises:
        ValueError: the shapes do not fit each other.
    """
    expected = (len(y), len(classes)) if classes else (len(y),)
    if answer.shape != expected:
        raise ValueError(
            f"the answer has the shape {answer.shape}, {len(y)} rows and {len(classes)} classes need {expected}"
        )
    if len(y) == 0 or not np.isfinite(answer).all():
        return lambda _weights: float("nan")
    if metric in ("rmse", "mae", "r2"):
        return _regression_scorer(metric, np.asarray(y, dtype=np.float64), answer)
    return _classification_scorer(metric, class_codes(y, classes), answer)


def class_codes(y: Labels, classes: Sequence[str]) -> NDArray[np.intp]:
    """The position of each label in `classes`; `len(classes)` for a label that is not there.

    >>> class_codes(np.array(["b", "a", "z"]), ("a", "b")).tolist()
    [1, 0, 2]
    """
    position = {label: code for code, label in enumerate(classes)}
    distinct, inverse = np.unique(np.asarray(y, dtype=str), return_inverse=True)
    codes = np.array([position.get(str(label), len(classes)) for label in distinct], dtype=np.intp)
    return codes[inverse]


def _regression_scorer(metric: Metric, y: NDArray[np.float64], answer: Answer) -> Scorer:
    if metric == "mae":
        return _mean_of(np.abs(answer - y))
    mean_square = _mean_of((answer - y) ** 2)
    if metric == "rmse":
        return lambda weights: float(np.sqrt(mean_square(weights)))
    return lambda weights: _share_explained(mean_square(weights), y, weights)


def _share_explained(mean_square: float, y: NDArray[np.float64], weights: Weights) -> float:
    mean = dot(weights, y) / weights.sum()
    spread = dot(weights, (y - mean) ** 2) / weights.sum()
    return float(1 - mean_square / spread) if spread > 0 else float("nan")


def _classification_scorer(metric: Metric, codes: NDArray[np.intp], answer: Answer) -> Scorer:
    match metric:
        case "log_loss":
            return _mean_of(-np.log(np.clip(_probability_of_truth(codes, answer), LOG_LOSS_FLOOR, 1.0)))
        case "brier":
            # sum((p - truth)^2) / 2 with the one 1 of the truth multiplied out, so that no one-hot matrix is built.
            squares = (answer**2).sum(axis=1)
            return _mean_of((squares - 2 * _probability_of_truth(codes, answer) + 1) / 2)
        case "accuracy":
            return _mean_of((answer.argmax(axis=1) == codes).astype(np.float64))
        case "roc_auc":
            return _mean_over_classes([ranking.roc_auc for ranking in _rankings(codes, answer)])
        case "average_precision":
            return _mean_over_classes([ranking.average_precision for ranking in _rankings(codes, answer)])
        case _:
            return _confusion_scorer(metric, codes, answer)


def _mean_of(losses: NDArray[np.float64]) -> Scorer:
    return lambda weights: dot(weights, losses) / float(weights.sum())


def _mean_over_classes(scorers: Sequence[Scorer]) -> Scorer:
    def mean(weights: Weights) -> float:
        scores = np.array([of_class(weights) for of_class in scorers])
        known = scores[~np.isnan(scores)]
        return float(known.mean()) if len(known) else float("nan")

    return mean


def _probability_of_truth(codes: NDArray[np.intp], answer: Answer) -> NDArray[np.float64]:
    known = codes < answer.shape[1]
    return np.where(known, answer[np.arange(len(codes)), np.where(known, codes, 0)], 0.0)


def _rankings(codes: NDArray[np.intp], answer: Answer) -> list[Ranking]:
    scored = (1,) if answer.shape[1] == 2 else range(answer.shape[1])
    return [Ranking.of(codes == code, answer[:, code]) for code in scored]


def _confusion_scorer(metric: Metric, codes: NDArray[np.intp], answer: Answer) -> Scorer:
    classes = answer.shape[1]
    cells = codes * classes + answer.argmax(axis=1)

    def from_confusion(weights: Weights) -> float:
        # One more row than columns: the labels that are not among the classes, answered with one that is.
        confusion = np.bincount(cells, weights=weights, minlength=(classes + 1) * classes).reshape(classes + 1, classes)
        occurs = confusion.sum(axis=1)[:classes]
        scores = _score_of_classes(metric, np.diagonal(confusion), occurs, confusion.sum(axis=0))
        if classes == 2 and metric != "balanced_accuracy":
            return float(scores[1])
        return float(scores[occurs > 0].mean()) if (occurs > 0).any() else float("nan")

    return from_confusion


def _score_of_classes(
    metric: Metric, right: NDArray[np.float64], occurs: NDArray[np.float64], answered: NDArray[np.float64]
) -> NDArray[np.float64]:
    """For each class its recall, precision or f1: NaN where it does not occur, 0 where it was never answered."""
    match metric:
        case "precision":
            total, found = answered, right
        case "f1":
            total, found = occurs + answered, 2 * right
        case _:
            total, found = occurs, right
    scores = np.divide(found, total, out=np.zeros(len(total)), where=total > 0)
    return np.where(occurs > 0, scores, np.nan)
