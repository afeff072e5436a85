"""The two metrics that read only the order of the answers, prepared so that a thousand resamples sort once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from everfresh.evaluation.sums import dot


@dataclass(frozen=True)
class Ranking:
    """Rows in falling order of `values`, tied rows in one step, and which of them are positive.

    Attributes:
        order: the rows, best first.
        starts: where in `order` each group of tied rows starts.
        positive: 1.0 for each positive row, in `order`.
    """

    order: NDArray[np.intp]
    starts: NDArray[np.intp]
    positive: NDArray[np.float64]

    @classmethod
    def of(cls, positive: NDArray[np.bool_], values: NDArray[np.float64]) -> Ranking:
        """The ranking of rows by `values`; the first row of a tie is where the value differs from the one before."""
        order = np.argsort(-values, kind="stable")
        ranked = values[order]
        starts = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]][: len(ranked)])
        return cls(order, starts, positive[order].astype(np.float64))

    def roc_auc(self, weights: NDArray[np.float64]) -> float:
        """The share of pairs of a positive and a negative row that are in the right order; a tie counts half.

        NaN where one of the two is missing.
        """
        positives, negatives = self._steps(weights)
        total = positives.sum() * negatives.sum()
        if total == 0:
            return float("nan")
        ranked_below = negatives.sum() - np.cumsum(negatives) + negatives / 2
        return dot(positives, ranked_below) / float(total)

    def average_precision(self, weights: NDArray[np.float64]) -> float:
        """The precision at each threshold, weighted by the recall that it adds; NaN without a positive row."""
        positives, negatives = self._steps(weights)
        found = np.cumsum(positives)
        if not len(found) or found[-1] == 0:
            return float("nan")
        answered = found + np.cumsum(negatives)
        # Before the first row that counts, nothing is answered and no recall is added: any precision will do.
        precision = np.divide(found, answered, out=np.zeros_like(found), where=answered > 0)
        return dot(positives, precision) / float(found[-1])

    def _steps(self, weights: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The weight of positive and of negative rows in each group of ties."""
        ranked = weights[self.order]
        positives = ranked * self.positive
        negatives = ranked - positives
        if len(self.starts) == len(ranked):
            return positives, negatives
        return np.add.reduceat(positives, self.starts), np.add.reduceat(negatives, self.starts)
