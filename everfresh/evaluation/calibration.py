"""How far probabilities are from true frequencies, and how far they would be by chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from everfresh.evaluation.metrics import Answer, Labels, class_codes

MAX_BINS = 15


@dataclass(frozen=True)
class CalibrationError:
    """The expected calibration error of an answer: between 0 and 1, 0 is best.

    Attributes:
        error: the mean distance of a bin's probability to its frequency, over the rows; NaN without rows, and where
            the answer holds a NaN.
        by_chance: what a perfectly calibrated model with these probabilities would show on average on as many rows. It
            is never 0: a bin of n rows is off by about 0.4 / sqrt(n).
    """

    error: float
    by_chance: float


def calibration_error(y: Labels, answer: Answer, classes: Sequence[str]) -> CalibrationError:
    """The expected calibration error.

    For two classes the probability of the second one against how often it occurs; for more, the probability of the
    predicted class against how often it is right (Guo et al., "On Calibration of Modern Neural Networks", 2017). Bins
    hold equally many rows, not equally wide stretches, most of which would be nearly empty (Nixon et al., "Measuring
    Calibration in Deep Learning", 2019); rows with one probability stay in one bin.

    >>> answer = np.repeat([[0.8, 0.2]], 10, axis=0)
    >>> round(calibration_error(np.array(["no"] * 7 + ["yes"] * 3), answer, ("no", "yes")).error, 3)
    0.1
    """
    if len(y) == 0 or not np.isfinite(answer).all():
        return CalibrationError(float("nan"), float("nan"))
    codes = class_codes(y, classes)
    if len(classes) == 2:
        confidence, occurs = answer[:, 1], codes == 1
    else:
        confidence, occurs = answer.max(axis=1), codes == answer.argmax(axis=1)
    edges = np.unique(np.quantile(confidence, np.linspace(0, 1, MAX_BINS + 1)[1:-1]))
    bin_of_row = np.searchsorted(edges, confidence, side="left")
    gaps = np.bincount(bin_of_row, weights=confidence) - np.bincount(bin_of_row, weights=occurs)
    # Under perfect calibration a bin's gap is about normal, and the mean of its size is sqrt(2 / pi) deviations.
    variances = np.bincount(bin_of_row, weights=np.clip(confidence * (1 - confidence), 0, None))
    by_chance = np.sqrt(2 / np.pi * variances).sum()
    return CalibrationError(float(np.abs(gaps).sum() / len(y)), float(by_chance / len(y)))
