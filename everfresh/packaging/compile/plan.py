"""Compiling a fitted pipeline into an exact scoring plan, or saying why there is none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline

from everfresh.data.columns import Column
from everfresh.packaging.codes import Codes
from everfresh.packaging.compile.estimators import export_estimator
from everfresh.packaging.compile.exactness import NoExactExport
from everfresh.packaging.compile.features import codes_of
from everfresh.packaging.compile.graph import Graph
from everfresh.packaging.compile.preparation import Block, Numbers, read_preparation
from everfresh.spec.metrics import Task


@dataclass(frozen=True)
class CompiledPlan:
    """An ONNX model in float64 and the codes of its input.

    Attributes:
        model: the ONNX model; its input is the matrix that `codes` makes, its output the answer.
        codes: how a batch becomes that matrix.
        thresholds: where trees split a numeric column: the places where an inexact plan would show.
    """

    model: bytes
    codes: Codes
    thresholds: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)


@dataclass(frozen=True)
class NotCompiled:
    """There is no exact plan; the reason is a clause without a capital: "SVC has no exact export"."""

    reason: str


def compile_pipeline(pipeline: Pipeline, columns: Sequence[Column], task: Task) -> CompiledPlan | NotCompiled:
    """The exact plan of a fitted pipeline (ColumnTransformer and estimator) that reads a model frame of `columns`.

    "Exact" is by construction, up to the order of additions; whether it holds is then measured (see `parity`).
    """
    if len(pipeline.steps) != 2:
        return NotCompiled(f"a pipeline of {len(pipeline.steps)} steps has no exact export")
    (_, prepare), (_, model) = pipeline.steps
    if task == "classification" and len(model.classes_) < 2:
        return NotCompiled("a classifier of one class has no exact export")
    try:
        blocks = read_preparation(prepare, columns)
        codes = codes_of(blocks)
        graph = Graph(len(codes.inputs))
        answer = export_estimator(graph, blocks, model)
    except NoExactExport as no:
        return NotCompiled(str(no))
    return CompiledPlan(graph.finished(answer), codes, _thresholds(blocks, model))


def _thresholds(blocks: Sequence[Block], model: Any) -> dict[str, NDArray[np.float64]]:
    """Where the trees of a model split the numbers that reach them unscaled; empty for other models."""
    splits = [_splits(tree) for tree in _trees(model)]
    if not splits:
        return {}
    features = np.concatenate([feature for feature, _ in splits])
    thresholds = np.concatenate([threshold for _, threshold in splits])
    found: dict[str, NDArray[np.float64]] = {}
    first = 0
    for block in blocks:
        if isinstance(block, Numbers) and block.mean is None and block.scale is None:
            found |= {name: thresholds[features == first + offset] for offset, name in enumerate(block.names)}
        first += block.width
    return found


def _trees(model: Any) -> list[Any]:
    if hasattr(model, "_predictors"):
        return [predictor for iteration in model._predictors for predictor in iteration]
    if hasattr(model, "tree_"):
        return [model.tree_]
    return [fitted.tree_ for fitted in np.ravel(getattr(model, "estimators_", []))]


def _splits(tree: Any) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    if hasattr(tree, "nodes"):
        forks = tree.nodes[tree.nodes["is_leaf"] == 0]
        return forks["feature_idx"].astype(np.int64), forks["num_threshold"].astype(np.float64)
    forks = tree.children_left != -1
    return np.asarray(tree.feature)[forks].astype(np.int64), np.asarray(tree.threshold)[forks].astype(np.float64)
