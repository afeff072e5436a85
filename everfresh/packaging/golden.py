"""Golden rows: a few real rows and their answers, which every copy of a model must give wherever it runs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from typing import Any

import numpy as np

from everfresh.packaging.batch import Answer, Batch, values_of
from everfresh.packaging.bundle import Bundle

GOLDEN = "golden.json"
MOST_ROWS = 64


@dataclass(frozen=True)
class GoldenRows:
    """Rows and what the fitted pipeline answered when they were packed."""

    batch: Batch
    answer: Answer

    @property
    def columns(self) -> Mapping[str, Sequence[object]]:
        """The rows as a client sends them: plain values column by column, None for a missing one."""
        numbers = {
            name: [None if isnan(v) else v for v in values.tolist()] for name, values in self.batch.numbers.items()
        }
        return {**numbers, **{name: list(values_of(values)) for name, values in self.batch.categories.items()}}

    def difference(self, answer: Answer) -> float:
        """The largest difference of `answer` to the golden one; see `largest_difference`."""
        return largest_difference(self.answer, answer)

    def to_json(self) -> dict[str, Any]:
        """The rows column by column; a missing value is null."""
        columns = self.columns
        return {
            "rows": self.batch.rows,
            "numbers": {name: columns[name] for name in self.batch.numbers},
            "categories": {name: columns[name] for name in self.batch.categories},
            "answer": self.answer.tolist(),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> GoldenRows:
        """The rows that `to_json` wrote."""
        numbers = {name: np.array(values, dtype=np.float64) for name, values in content["numbers"].items()}
        batch = Batch(content["rows"], numbers, content["categories"])
        return cls(batch, np.array(content["answer"], dtype=np.float64))


def read_golden(bundle: Bundle) -> GoldenRows:
    """The golden rows of a bundle.

    Raises:
        BundleDamaged: the file holds other bytes than were packed.
    """
    return GoldenRows.from_json(json.loads(bundle.read(GOLDEN)))


def largest_difference(expected: Answer, answer: Answer) -> float:
    """How far two answers are apart at most: absolute up to 1, relative above, so that it suits large values as well.

    >>> largest_difference(np.array([0.5, 2000.0]), np.array([0.25, 2002.0]))
    0.25
    """
    if expected.shape != answer.shape:
        return float("inf")
    # What is the same is not subtracted: an infinite answer equals itself, and here so does NaN.
    apart = (answer != expected) & ~(np.isnan(answer) & np.isnan(expected))
    with np.errstate(invalid="ignore"):
        difference = np.abs(answer[apart] - expected[apart]) / np.maximum(1.0, np.abs(expected[apart]))
    return float("inf") if np.isnan(difference).any() else float(difference.max(initial=0.0))
