"""Linear sums: a product of the features with their weights, and one weight looked up for each category."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from everfresh.packaging.compile.features import Features, LookedUp


def linear_sum(features: Features, model: Any) -> str:
    """`features @ coefficients + intercept` of a fitted linear model, [rows, outputs]."""
    return weighted_sum(features, np.atleast_2d(np.asarray(model.coef_, dtype=np.float64)).T, model.intercept_)


def weighted_sum(features: Features, weights: NDArray[np.float64], intercept: Any) -> str:
    """`features @ weights + intercept`, [rows, outputs]."""
    graph, outputs = features.graph, weights.shape[1]
    sums: list[str] = []
    looked_up: list[int] = []
    tables: list[NDArray[np.float64]] = []
    first = 0
    for part in features.parts:
        if isinstance(part, LookedUp):
            own = weights[first : first + part.table.shape[1]]
            looked_up.append(part.position)
            tables.append(part.table @ own)
        else:
            own = weights[first : first + part.width]
            sums.append(graph.add("MatMul", part.name, graph.constant(own)))
        first += len(own)
    if tables:
        sums.append(_weights_of_categories(features, looked_up, np.concatenate(tables), outputs))
    total = sums[0]
    for more in sums[1:]:
        total = graph.add("Add", total, more)
    constant = np.broadcast_to(np.atleast_1d(np.asarray(intercept, dtype=np.float64)).reshape(1, -1), (1, outputs))
    return graph.add("Add", total, graph.constant(constant.copy()))


def _weights_of_categories(features: Features, positions: list[int], table: NDArray[np.float64], outputs: int) -> str:
    """The weights of all categories of a row, added up: [rows, outputs]."""
    graph = features.graph
    rows = graph.add("Cast", graph.columns(graph.input, positions, graph.inputs), to=TensorProto.INT64)
    weights = graph.add("Gather", graph.constant(table.reshape(-1, outputs)), rows, axis=0)
    return graph.add("ReduceSum", weights, graph.constant(np.array([1], dtype=np.int64)), keepdims=0)
