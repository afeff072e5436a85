"""How a batch becomes the one float64 matrix that a compiled plan reads: a number stands for each category."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from everfresh.packaging.batch import Batch, Categories, EncodedCategories


class _Lookup(dict[str | None, float]):
    """Codes by category, which asked for any other one answer `unseen`: a request asks for thousands at once."""

    def __init__(self, codes: CategoryCodes) -> None:
        super().__init__()
        for category, code in codes.known.items():
            self[category] = code
        self[None] = codes.missing
        self._unseen = codes.unseen

    def __missing__(self, category: str | None) -> float:
        return self._unseen


@dataclass(frozen=True)
class CategoryCodes:
    """Which number the plan expects for a category, for a missing one, and for one that training never saw."""

    known: Mapping[str, float]
    missing: float
    unseen: float

    def of(self, categories: Categories) -> NDArray[np.float64]:
        """The code of each row.

        >>> codes = CategoryCodes({"AA": 0.0, "UA": 1.0}, missing=2.0, unseen=-1.0)
        >>> codes.of(["AA", None, "ZZ"]).tolist()
        [0.0, 2.0, -1.0]
        >>> codes.of(EncodedCategories(np.array([1, 1, -1], dtype=np.int32), ["AA", "UA"])).tolist()
        [1.0, 1.0, 2.0]
        """
        code = self._lookup.__getitem__
        if isinstance(categories, EncodedCategories):
            # -1, a missing one, is the last place.
            return np.array([*map(code, categories.values), self.missing])[categories.codes]
        return np.fromiter(map(code, categories), np.float64, len(categories))

    def of_first(self, categories: Categories) -> float:
        """The code of the first row."""
        if isinstance(categories, EncodedCategories):
            return float(self.of(categories)[0])
        return self._lookup[categories[0]]

    @cached_property
    def _lookup(self) -> _Lookup:
        return _Lookup(self)


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
        numbers, categories = batch.numbers, batch.categories
        if batch.rows == 1:  # most requests have one row, which a list takes a third of the time for
            row = [
                numbers[name].item() if codes is None else codes.of_first(categories[name])
                for name, codes in self._columns
            ]
            return np.array([row], dtype=np.float64)
        matrix = np.empty((batch.rows, len(self.inputs)))
        for position, (name, codes) in enumerate(self._columns):
            matrix[:, position] = numbers[name] if codes is None else codes.of(categories[name])
        return matrix

    @cached_property
    def _columns(self) -> tuple[tuple[str, CategoryCodes | None], ...]:
        return tuple((name, self.categories.get(name)) for name in self.inputs)

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
