"""Linear models: a product of the numbers with their weights, and one weight looked up for each category."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from everfresh.packaging.compile.categories import CategoryTable
from everfresh.packaging.compile.features import is_looked_up, number_features, row_numbers
from everfresh.packaging.compile.graph import Graph
from everfresh.packaging.compile.preparation import Block, Numbers


def linear_sum(graph: Graph, blocks: Sequence[Block], model: Any) -> str:
    """`features @ coefficients + intercept` of a fitted linear model, [rows, outputs]."""
    weights = np.atleast_2d(np.asarray(model.coef_, dtype=np.float64)).T
    intercept = np.atleast_1d(np.asarray(model.intercept_, dtype=np.float64)).reshape(1, -1)
    outputs = weights.shape[1]
    width = sum(len(block.names) for block in blocks)
    sums: list[str] = []
    looked_up: list[int] = []
    tables: list[NDArray[np.float64]] = []
    position, feature = 0, 0
    for block in blocks:
        positions = list(range(position, position + len(block.names)))
        own = weights[feature : feature + block.width]
        position += len(block.names)
        feature += block.width
        if is_looked_up(block) and isinstance(block, CategoryTable):
            looked_up += positions
            tables.append(block.features @ own)
        else:
            values = graph.columns(graph.input, positions, width)
            if isinstance(block, Numbers):
                values = number_features(graph, block, values)
            sums.append(graph.add("MatMul", values, graph.constant(own)))
    if tables:
        sums.append(_weights_of_categories(graph, looked_up, width, np.concatenate(tables), outputs))
    total = sums[0]
    for part in sums[1:]:
        total = graph.add("Add", total, part)
    return graph.add("Add", total, graph.constant(np.broadcast_to(intercept, (1, outputs)).copy()))


def _weights_of_categories(
    graph: Graph, positions: list[int], width: int, table: NDArray[np.float64], outputs: int
) -> str:
    """The weights of all categories of a row, added up: [rows, outputs]."""
    rows = row_numbers(graph, positions, width)
    weights = graph.add("Gather", graph.constant(table.reshape(-1, outputs)), rows, axis=0)
    return graph.add("ReduceSum", weights, graph.constant(np.array([1], dtype=np.int64)), keepdims=0)
