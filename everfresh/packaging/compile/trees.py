"""Tree ensembles: the nodes of all fitted trees as flat arrays, and the one graph node that walks them.

Thresholds stay float64, as scikit-learn fitted them; rounding them to float32, as converters do, sends rows
that lie near a threshold the other way.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import numpy_helper

from everfresh.packaging.compile.exactness import NoExactExport
from everfresh.packaging.compile.graph import Graph

MOST_NODES = 4_000_000
_LESS_OR_EQUAL = 0
_SUM = 1
_NONE = 0


@dataclass(frozen=True)
class Tree:
    """One fitted binary tree; node 0 is the root, and a row goes left where its feature is <= the threshold.

    Attributes:
        target: which sum the tree adds to.
        feature: the feature that a node asks for.
        threshold: where it splits.
        left: the node that follows on the left.
        right: the node that follows on the right.
        missing_left: whether a missing value goes left.
        is_leaf: whether the node is an end.
        value: what an end adds.
    """

    target: int
    feature: NDArray[np.int64]
    threshold: NDArray[np.float64]
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    missing_left: NDArray[np.bool_]
    is_leaf: NDArray[np.bool_]
    value: NDArray[np.float64]


def histogram_trees(predictors: Sequence[Sequence[Any]]) -> list[Tree]:
    """The trees of a fitted HistGradientBoosting, of all iterations, for all of its sums.

    Raises:
        NoExactExport: a tree splits on categories by itself.
    """
    return [
        _histogram_tree(predictor.nodes, target)
        for iteration in predictors
        for target, predictor in enumerate(iteration)
    ]


def tree_of(fitted: Any, values: NDArray[np.float64], target: int = 0) -> Tree:
    """A tree of scikit-learn's `sklearn.tree` (`estimator.tree_`), with a value for each of its nodes."""
    return Tree(
        target=target,
        feature=np.maximum(fitted.feature, 0).astype(np.int64),
        threshold=np.asarray(fitted.threshold, dtype=np.float64),
        left=np.asarray(fitted.children_left, dtype=np.int64),
        right=np.asarray(fitted.children_right, dtype=np.int64),
        missing_left=np.asarray(fitted.missing_go_to_left, dtype=bool),
        is_leaf=np.asarray(fitted.children_left) == -1,
        value=np.asarray(values, dtype=np.float64),
    )


def sum_of_trees(graph: Graph, features: str, trees: Sequence[Tree], targets: int) -> str:
    """What the trees add up to, [rows, targets].

    Raises:
        NoExactExport: there are so many nodes that the plan would not fit into a server's memory.
    """
    nodes = sum(len(tree.feature) for tree in trees)
    if nodes > MOST_NODES:
        raise NoExactExport(f"the trees have {nodes:,} nodes, and a plan holds at most {MOST_NODES:,}")
    flat = [_flat(tree) for tree in trees]
    first_node = _firsts(len(part.feature) for part in flat)
    first_leaf = _firsts(len(part.leaf_value) for part in flat)
    left = [
        _follow(part.left, part.left_is_leaf, n, e) for part, n, e in zip(flat, first_node, first_leaf, strict=True)
    ]
    right = [
        _follow(part.right, part.right_is_leaf, n, e) for part, n, e in zip(flat, first_node, first_leaf, strict=True)
    ]
    return graph.add(
        "TreeEnsemble",
        features,
        domain="ai.onnx.ml",
        n_targets=targets,
        aggregate_function=_SUM,
        post_transform=_NONE,
        tree_roots=first_node,
        nodes_featureids=_integers([part.feature for part in flat]),
        nodes_modes=numpy_helper.from_array(
            np.full(sum(len(p.feature) for p in flat), _LESS_OR_EQUAL, np.uint8), "modes"
        ),
        nodes_splits=numpy_helper.from_array(np.concatenate([part.threshold for part in flat]), "splits"),
        nodes_truenodeids=_integers(left),
        nodes_trueleafs=_integers([part.left_is_leaf for part in flat]),
        nodes_falsenodeids=_integers(right),
        nodes_falseleafs=_integers([part.right_is_leaf for part in flat]),
        nodes_missing_value_tracks_true=_integers([part.missing_left for part in flat]),
        leaf_targetids=[tree.target for tree, part in zip(trees, flat, strict=True) for _ in part.leaf_value],
        leaf_weights=numpy_helper.from_array(np.concatenate([part.leaf_value for part in flat]), "weights"),
    )


def _histogram_tree(nodes: Any, target: int) -> Tree:
    if nodes["is_categorical"].any():
        raise NoExactExport("HistGradientBoosting with categorical_features has no exact export")
    return Tree(
        target=target,
        feature=nodes["feature_idx"].astype(np.int64),
        threshold=nodes["num_threshold"].astype(np.float64),
        left=nodes["left"].astype(np.int64),
        right=nodes["right"].astype(np.int64),
        missing_left=nodes["missing_go_to_left"].astype(bool),
        is_leaf=nodes["is_leaf"].astype(bool),
        value=nodes["value"].astype(np.float64),
    )


@dataclass(frozen=True)
class _FlatTree:
    """A tree as ONNX counts: ends and forks are numbered apart, and a fork says of which sort its followers are."""

    feature: NDArray[np.int64]
    threshold: NDArray[np.float64]
    left: NDArray[np.int64]
    left_is_leaf: NDArray[np.bool_]
    right: NDArray[np.int64]
    right_is_leaf: NDArray[np.bool_]
    missing_left: NDArray[np.bool_]
    leaf_value: NDArray[np.float64]


def _flat(tree: Tree) -> _FlatTree:
    if tree.is_leaf[0]:
        return _stump(tree.value[0])
    forks = np.flatnonzero(~tree.is_leaf)
    leaves = np.flatnonzero(tree.is_leaf)
    number = np.empty(len(tree.feature), dtype=np.int64)
    number[forks] = np.arange(len(forks))
    number[leaves] = np.arange(len(leaves))
    left, right = tree.left[forks], tree.right[forks]
    return _FlatTree(
        feature=tree.feature[forks],
        threshold=tree.threshold[forks],
        left=number[left],
        left_is_leaf=tree.is_leaf[left],
        right=number[right],
        right_is_leaf=tree.is_leaf[right],
        missing_left=tree.missing_left[forks],
        leaf_value=tree.value[leaves],
    )


def _stump(value: float) -> _FlatTree:
    """A tree that never splits: ONNX wants a fork all the same, so both ways lead to its one end."""
    one, yes = np.zeros(1, dtype=np.int64), np.ones(1, dtype=bool)
    return _FlatTree(one, np.zeros(1), one, yes, one, yes, yes, np.array([value]))


def _firsts(lengths: Iterable[int]) -> list[int]:
    return [0, *np.cumsum(list(lengths)).tolist()][:-1]


def _follow(
    number: NDArray[np.int64], is_leaf: NDArray[np.bool_], first_node: int, first_leaf: int
) -> NDArray[np.int64]:
    return number + np.where(is_leaf, first_leaf, first_node)


def _integers(parts: Sequence[NDArray[Any]]) -> list[int]:
    integers: list[int] = np.concatenate(parts).astype(np.int64).tolist()
    return integers
