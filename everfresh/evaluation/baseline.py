"""The dummy that every model must beat: it knows the labels of the training rows and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from everfresh.evaluation.metrics import Answer, Labels, class_codes


@dataclass(frozen=True)
class ClassPrior:
    """Answers every row with the shares of the classes among the training rows."""

    classes: tuple[str, ...]
    shares: tuple[float, ...]

    def answer(self, rows: int) -> Answer:
        """The same probabilities for each of `rows` rows, in the order of `classes`."""
        return np.tile(np.array(self.shares, dtype=np.float64), (rows, 1))

    def to_json(self) -> dict[str, Any]:
        """A mapping of JSON's own types; `baseline_from_json` gives the same baseline back."""
        return {"kind": "class_prior", "classes": list(self.classes), "shares": list(self.shares)}


@dataclass(frozen=True)
class MeanValue:
    """Answers every row with the mean of the training rows' labels."""

    mean: float

    def answer(self, rows: int) -> Answer:
        """The mean, for each of `rows` rows."""
        return np.full(rows, self.mean, dtype=np.float64)

    def to_json(self) -> dict[str, Any]:
        """A mapping of JSON's own types; `baseline_from_json` gives the same baseline back."""
        return {"kind": "mean", **asdict(self)}


Baseline = ClassPrior | MeanValue


def class_prior(labels: Labels, classes: Sequence[str]) -> ClassPrior:
    """The baseline of a classification, from the labels of the training rows alone.

    >>> class_prior(np.array(["no", "no", "no", "yes"]), ("no", "yes")).answer(1).tolist()
    [[0.75, 0.25]]
    """
    counts = np.bincount(class_codes(labels, classes), minlength=len(classes))[: len(classes)]
    return ClassPrior(tuple(classes), tuple(float(share) for share in counts / counts.sum()))


def mean_value(labels: Labels) -> MeanValue:
    """The baseline of a regression, from the labels of the training rows alone.

    >>> mean_value(np.array([1.0, 2.0, 6.0])).answer(2).tolist()
    [3.0, 3.0]
    """
    return MeanValue(float(np.mean(np.asarray(labels, dtype=np.float64))))


def baseline_from_json(document: Mapping[str, Any]) -> Baseline:
    """The baseline that `to_json` wrote.

    Raises:
        ValueError: `document` is no baseline.
    """
    match document.get("kind"):
        case "class_prior":
            return ClassPrior(tuple(document["classes"]), tuple(document["shares"]))
        case "mean":
            return MeanValue(document["mean"])
        case kind:
            raise ValueError(f"{kind!r} is no baseline: class_prior or mean is")
