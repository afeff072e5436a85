"""How a batch becomes the one float64 matrix that a compiled plan reads: a number stands for each category."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from everfresh.packaging.batch import Batch


@dataclass(frozen=True)
class CategoryCodes:
    """Which number the plan expects for a category, for a missing one, and for one that training never saw."""

    known: Mapping[str, float]
    missing: float
    unseen: float

    @cached_property
    def lookup(self) -> dict[str | None, float]:
        """The codes by value; None is the missing value."""
        return dict[str | None, float](self.known) | {None: self.missing}


@dataclass(frozen=True)
class Codes:
    """The columns of the matrix, in its order, and the codes of those that are categories."""

    inputs: tuple[str, ...]
    categories: Mapping[str, CategoryCodes]

    def matrix(self, batch: Batch) -> NDArray[np.float64]:
        """The batch as float64 [rows, inputs].

        >>> codes = Codes(("distance", "carrier"), {"carrier": CategoryCodes({"AA": 0.0}, missing=1.0, unseen=-1.0)})
        >>> codes.matrix(Batch(3, {"distance": np.array([5.0, 6.0, 7.0])}, {"carrier": ["AA", None, "ZZ"]})).tolist()
        [[5.0, 0.0], [6.0, 1.0], [7.0, -1.0]]
        """
        matrix = np.empty((batch.rows, len(self.inputs)))
        for position, name in enumerate(self.inputs):
            codes = self.categories.get(name)
            if codes is None:
                matrix[:, position] = batch.numbers[name]
            else:
                code, unseen = codes.lookup.get, codes.unseen
                matrix[:, position] = [code(value, unseen) for value in batch.categories[name]]
        return matrix

    def to_json(self) -> dict[str, Any]:
        """The codes as JSON can hold them: NaN, which some encoders answer for a missing value, is null."""
        categories = {
            name: {"known": dict(codes.known), "missing": _null(codes.missing), "unseen": _null(codes.unseen)}
            for name, codes in self.categories.items()
        }
        return {"inputs": list(self.inputs), "categories": categories}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Codes:
        """The codes that `to_json` wrote."""
        categories = {
            name: CategoryCodes(codes["known"], _nan(codes["missing"]), _nan(codes["unseen"]))
            for name, codes in content["categories"].items()
        }
        return cls(tuple(content["inputs"]), categories)


def _null(code: float) -> float | None:
    return None if math.isnan(code) else code


def _nan(code: float | None) -> float:
    return math.nan if code is None else code
