"""Tree ensembles: the nodes of all fitted trees as flat arrays, and the one graph node that walks them.

Thresholds stay float64, as scikit-learn fitted them; rounding them to float32, as converters do, sends rows
that lie near a threshold the other way.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import numpy_helper

from everfresh.packaging.compile.exactness import NoExactExport
from everfresh.packaging.compile.graph import Graph

MOST_NODES = 4_000_000
_LESS_OR_EQUAL = 0
_MEMBER = 6
_SUM = 1
_NONE = 0


@dataclass(frozen=True)
class Tree:
    """One fitted binary tree; node 0 is the root.

    A row goes left where its feature is <= the threshold, or, at a node with members, where it is one of them.

    Attributes:
        target: which sum the tree adds to.
        feature: the feature that a node asks for.
        threshold: where it splits.
        left: the node that follows on the left.
        right: the node that follows on the right.
        missing_left: whether a missing value goes left.
        is_leaf: whether the node is an end.
        value: what an end adds.
        members: the values that go left, by the nodes that split so; anything else there goes right.
    """

    target: int
    feature: NDArray[np.int64]
    threshold: NDArray[np.float64]
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    missing_left: NDArray[np.bool_]
    is_leaf: NDArray[np.bool_]
    value: NDArray[np.float64]
    members: Mapping[int, NDArray[np.float64]] = field(default_factory=dict)


def histogram_trees(model: Any) -> list[Tree]:
    """The trees of a fitted HistGradientBoosting, of all iterations, for all of its sums."""
    categories = _native_categories(model)
    # Inside, it has the features that it takes for categories before all others.
    inner = sorted(range(model.n_features_in_), key=lambda feature: feature not in categories)
    return [
        _histogram_tree(predictor, np.array(inner), categories, target)
        for iteration in model._predictors
        for target, predictor in enumerate(iteration)
    ]


def tree_of(
    fitted: Any, values: NDArray[np.float64], target: int = 0, features: NDArray[np.intp] | None = None
) -> Tree:
    """A tree of scikit-learn's `sklearn.tree` (`estimator.tree_`), with a value for each of its nodes.

    Args:
        fitted: the tree.
        values: what its nodes add.
        target: to which sum.
        features: which features it was shown, if not all of them.
    """
    feature = np.maximum(fitted.feature, 0).astype(np.int64)
    return Tree(
        target=target,
        feature=feature if features is None else np.asarray(features, dtype=np.int64)[feature],
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
    modes = [_MEMBER if own is not None else _LESS_OR_EQUAL for part in flat for own in part.members]
    return graph.add(
        "TreeEnsemble",
        features,
        domain="ai.onnx.ml",
        n_targets=targets,
        aggregate_function=_SUM,
        post_transform=_NONE,
        tree_roots=first_node,
        nodes_featureids=_integers([part.feature for part in flat]),
        nodes_modes=numpy_helper.from_array(np.array(modes, np.uint8), "modes"),
        nodes_splits=numpy_helper.from_array(np.concatenate([part.threshold for part in flat]), "splits"),
        nodes_truenodeids=_integers(left),
        nodes_trueleafs=_integers([part.left_is_leaf for part in flat]),
        nodes_falsenodeids=_integers(right),
        nodes_falseleafs=_integers([part.right_is_leaf for part in flat]),
        nodes_missing_value_tracks_true=_integers([part.missing_left for part in flat]),
        leaf_targetids=[tree.target for tree, part in zip(trees, flat, strict=True) for _ in part.leaf_value],
        leaf_weights=numpy_helper.from_array(np.concatenate([part.leaf_value for part in flat]), "weights"),
        **_membership(flat),
    )


def _membership(flat: Sequence[_FlatTree]) -> dict[str, Any]:
    """The members of all nodes that have some, one list after the other, with NaN after each."""
    lists = [[*own, np.nan] for part in flat for own in part.members if own is not None]
    if not lists:
        return {}
    return {"membership_values": numpy_helper.from_array(np.concatenate(lists), "members")}


def _native_categories(model: Any) -> dict[int, NDArray[np.float64]]:
    """The features that a HistGradientBoosting takes for categories: their values by the codes that it gives them."""
    if model._preprocessor is None:
        return {}
    encoder = model._preprocessor.named_transformers_["encoder"]
    known = (np.asarray(values, dtype=np.float64) for values in encoder.categories_)
    return {
        int(feature): values[~np.isnan(values)]
        for feature, values in zip(np.flatnonzero(model.is_categorical_), known, strict=True)
    }


def _histogram_tree(
    predictor: Any, inner: NDArray[np.int64], categories: Mapping[int, NDArray[np.float64]], target: int
) -> Tree:
    nodes = predictor.nodes
    feature = inner[nodes["feature_idx"].astype(np.int64)]
    left, right = nodes["left"].astype(np.int64), nodes["right"].astype(np.int64)
    missing_left = nodes["missing_go_to_left"].astype(bool)
    members: dict[int, NDArray[np.float64]] = {}
    for node in np.flatnonzero(nodes["is_categorical"] & ~nodes["is_leaf"].astype(bool)).tolist():
        known = categories[int(feature[node])]
        codes = np.arange(len(known))
        bits = predictor.raw_left_cat_bitsets[nodes["bitset_idx"][node]]
        goes_left = (bits[codes // 32] >> (codes % 32).astype(bits.dtype)) & 1 == 1
        # A missing category and an unknown one go the same way, so that is where whatever is no member must go.
        if missing_left[node]:
            left[node], right[node] = right[node], left[node]
            goes_left = ~goes_left
        # No feature is infinite: a list without a member, which ONNX does not know, may hold that.
        members[node] = known[goes_left] if goes_left.any() else np.array([np.inf])
        missing_left[node] = False
    return Tree(
        target=target,
        feature=feature,
        threshold=nodes["num_threshold"].astype(np.float64),
        left=left,
        right=right,
        missing_left=missing_left,
        is_leaf=nodes["is_leaf"].astype(bool),
        value=nodes["value"].astype(np.float64),
        members=members,
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
    members: Sequence[NDArray[np.float64] | None]


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
        members=[tree.members.get(node) for node in forks.tolist()],
    )


def _stump(value: float) -> _FlatTree:
    """A tree that never splits: ONNX wants a fork all the same, so both ways lead to its one end."""
    one, yes = np.zeros(1, dtype=np.int64), np.ones(1, dtype=bool)
    return _FlatTree(one, np.zeros(1), one, yes, one, yes, yes, np.array([value]), [None])


def _firsts(lengths: Iterable[int]) -> list[int]:
    return [0, *np.cumsum(list(lengths)).tolist()][:-1]


def _follow(
    number: NDArray[np.int64], is_leaf: NDArray[np.bool_], first_node: int, first_leaf: int
) -> NDArray[np.int64]:
    return number + np.where(is_leaf, first_leaf, first_node)


def _integers(parts: Sequence[NDArray[Any]]) -> list[int]:
    integers: list[int] = np.concatenate(parts).astype(np.int64).tolist()
    return integers
