"""From the plan's input matrix to the features that an estimator reads, as nodes of a graph."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from everfresh.packaging.codes import CategoryCodes, Codes
from everfresh.packaging.compile.categories import CategoryTable
from everfresh.packaging.compile.graph import Graph
from everfresh.packaging.compile.preparation import Block, Numbers


def codes_of(blocks: Sequence[Block]) -> Codes:
    """The matrix that a plan with these blocks reads: its columns in the order of the features.

    A category that becomes one number is that number already. One that becomes several is a row number in the
    tables of all such categories, laid one below the other.
    """
    categories: dict[str, CategoryCodes] = {}
    first_row = 0
    for block in blocks:
        if isinstance(block, CategoryTable):
            is_number = block.width == 1
            rows = block.features[:, 0] if is_number else first_row + np.arange(len(block.features), dtype=np.float64)
            *known, unseen, missing = rows.tolist()
            categories[block.name] = CategoryCodes(dict(zip(block.known, known, strict=True)), missing, unseen)
            first_row += 0 if is_number else len(block.features)
    return Codes(tuple(name for block in blocks for name in block.names), categories)


def is_looked_up(block: Block) -> bool:
    """Whether the matrix holds a row number of a table, and not the feature itself."""
    return isinstance(block, CategoryTable) and block.width > 1


def feature_matrix(graph: Graph, blocks: Sequence[Block]) -> str:
    """All features side by side: what a tree ensemble reads."""
    if all((isinstance(block, CategoryTable) and block.width == 1) or _is_plain(block) for block in blocks):
        return graph.input
    width = sum(len(block.names) for block in blocks)
    parts: list[str] = []
    position, first_row = 0, 0
    for block in blocks:
        positions = list(range(position, position + len(block.names)))
        position += len(block.names)
        if isinstance(block, Numbers):
            parts.append(number_features(graph, block, graph.columns(graph.input, positions, width)))
        elif block.width == 1:
            parts.append(graph.columns(graph.input, positions, width))
        else:
            parts.append(_table_features(graph, block, positions[0], first_row))
            first_row += len(block.features)
    return graph.concat(parts)


def number_features(graph: Graph, block: Numbers, values: str) -> str:
    """The steps of a block of numbers, in scikit-learn's order and in its arithmetic: each is one rounding."""
    if block.fill is not None:
        values = graph.add("Where", graph.add("IsNaN", values), graph.constant(_row(block.fill)), values)
    if block.mean is not None:
        values = graph.add("Sub", values, graph.constant(_row(block.mean)))
    if block.scale is not None:
        values = graph.add("Div", values, graph.constant(_row(block.scale)))
    return values


def row_numbers(graph: Graph, positions: list[int], width: int) -> str:
    """Columns of the matrix that hold row numbers, as integers."""
    from onnx import TensorProto

    return graph.add("Cast", graph.columns(graph.input, positions, width), to=TensorProto.INT64)


def _table_features(graph: Graph, block: CategoryTable, position: int, first_row: int) -> str:
    """One category: gather its rows of the table, [rows, width]."""
    from onnx import TensorProto

    column = graph.add("Gather", graph.input, graph.constant(np.array(position, dtype=np.int64)), axis=1)
    own = graph.add("Sub", column, graph.constant(np.array(float(first_row))))
    row = graph.add("Cast", own, to=TensorProto.INT64)
    return graph.add("Gather", graph.constant(block.features), row, axis=0)


def _is_plain(block: Block) -> bool:
    return isinstance(block, Numbers) and block.is_plain


def _row(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(values, dtype=np.float64).reshape(1, -1)
