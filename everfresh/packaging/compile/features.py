"""From the plan's input matrix to the features that an estimator reads, as nodes of a graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from everfresh.packaging.codes import Codes
from everfresh.packaging.compile.forks import Source
from everfresh.packaging.compile.graph import Graph
from everfresh.packaging.compile.preparation import Block, Numbers, is_plain
from everfresh.packaging.compile.steps import Values, exported


@dataclass(frozen=True)
class LookedUp:
    """A category that becomes several features: its column of the matrix holds the row of its table.

    Attributes:
        position: the column of the matrix.
        first_row: the row number of the table's first row: the tables of all such categories lie one below the other.
        table: the features, a row for each category.
        source: the column of the model frame.
    """

    position: int
    first_row: int
    table: NDArray[np.float64]
    source: Source


@dataclass(frozen=True, eq=False)
class Features:
    """What an estimator reads; `matrix` puts it side by side, and a product with weights does not even need that.

    Attributes:
        graph: where nodes are added.
        parts: the features in their order.
    """

    graph: Graph
    parts: tuple[Values | LookedUp, ...]
    _matrix: list[str] = field(default_factory=list)

    @property
    def width(self) -> int:
        """How many features there are."""
        return sum(_width(part) for part in self.parts)

    @property
    def is_exact(self) -> bool:
        """Whether each feature is scikit-learn's to the last bit, so that it lies on the same side of any threshold."""
        return all(isinstance(part, LookedUp) or part.is_exact for part in self.parts)

    @property
    def sources(self) -> tuple[Source | None, ...]:
        """The column behind each feature, where the feature is a column's value or its code."""
        return tuple(
            source
            for part in self.parts
            for source in (part.sources if isinstance(part, Values) else [None] * _width(part))
        )

    def matrix(self) -> str:
        """All features side by side."""
        if not self._matrix:
            self._matrix.append(self.graph.concat([self._values(part) for part in self.parts]))
        return self._matrix[0]

    def values(self) -> Values:
        """All features as what a step reads."""
        return Values(self.matrix(), self.width, self.is_exact, self.sources)

    def some(self, chosen: Sequence[int]) -> Features:
        """The features at these positions."""
        if list(chosen) == list(range(self.width)):
            return self
        name = self.graph.columns(self.matrix(), [int(position) for position in chosen], self.width)
        sources = tuple(self.sources[position] for position in chosen)
        return Features(self.graph, (Values(name, len(chosen), self.is_exact, sources),))

    def _values(self, part: Values | LookedUp) -> str:
        if isinstance(part, Values):
            return part.name
        column = self.graph.add(
            "Gather", self.graph.input, self.graph.constant(np.array(part.position, dtype=np.int64)), axis=1
        )
        own = self.graph.add("Sub", column, self.graph.constant(np.array(float(part.first_row))))
        row = self.graph.add("Cast", own, to=TensorProto.INT64)
        return self.graph.add("Gather", self.graph.constant(part.table), row, axis=0)


def computed(graph: Graph, name: str, width: int) -> Features:
    """Features that other estimators' answers are: they are equal to scikit-learn's up to the order of additions."""
    return Features(graph, (Values(name, width, is_exact=False, sources=(None,) * width),))


def read_features(graph: Graph, blocks: Sequence[Block], codes: Codes) -> Features:
    """The features that `blocks` make of the matrix of `codes`.

    Raises:
        NoExactExport: a step of a block has none.
    """
    sources = [Source(name, codes.categories.get(name)) for name in codes.inputs]
    parts: list[Values | LookedUp] = []
    position, first_row = 0, 0
    for are_plain, group in groupby(blocks, key=is_plain):
        together = list(group)
        if are_plain:  # as they come: one block, however many they are
            width = sum(len(block.names) for block in together)
            parts.append(_columns(graph, position, width, sources))
            position += width
            continue
        for block in together:
            if isinstance(block, Numbers):
                own = _columns(graph, position, len(block.names), sources)
                parts.append(exported(graph, own, block.steps))
            else:
                parts.append(LookedUp(position, first_row, block.features, sources[position]))
                first_row += len(block.features)
            position += len(block.names)
    return Features(graph, tuple(parts))


def _columns(graph: Graph, first: int, width: int, sources: Sequence[Source]) -> Values:
    name = graph.columns(graph.input, list(range(first, first + width)), len(sources))
    return Values(name, width, is_exact=True, sources=tuple(sources[first : first + width]))


def after(features: Features, steps: Sequence[object]) -> Features:
    """The features after steps that read all of them.

    Raises:
        NoExactExport: a step has none.
    """
    if not steps:
        return features
    return replace(features, parts=(exported(features.graph, features.values(), steps),), _matrix=[])


def _width(part: Values | LookedUp) -> int:
    return part.width if isinstance(part, Values) else int(part.table.shape[1])
