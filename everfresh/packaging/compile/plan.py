"""Compiling a fitted pipeline into an exact scoring plan, or saying why there is none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline

from everfresh.data.columns import Column
from everfresh.packaging.codes import Codes
from everfresh.packaging.compile.estimators import export_estimator
from everfresh.packaging.compile.exactness import NoExactExport
from everfresh.packaging.compile.features import codes_of
from everfresh.packaging.compile.forks import Change, Source, fork_rows
from everfresh.packaging.compile.graph import Graph
from everfresh.packaging.compile.preparation import Block, Numbers, read_preparation
from everfresh.packaging.compile.trees import Tree, histogram_trees, tree_of
from everfresh.spec.metrics import Task


@dataclass(frozen=True)
class CompiledPlan:
    """An ONNX model in float64 and the codes of its input.

    Attributes:
        model: the ONNX model; its input is the matrix that `codes` makes, its output the answer.
        codes: how a batch becomes that matrix.
        hard_rows: what to change in a row so that an inexact plan would show: it comes to stand where a tree splits.
    """

    model: bytes
    codes: Codes
    hard_rows: tuple[Change, ...] = ()


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
    return CompiledPlan(graph.finished(answer), codes, _hard_rows(blocks, codes, model))


def _hard_rows(blocks: Sequence[Block], codes: Codes, model: Any) -> tuple[Change, ...]:
    trees = _trees(model)
    if not trees:
        return ()
    sources = [source for block in blocks for source in _sources(block, codes)]
    # HistGradientBoosting compares float64; all other trees of scikit-learn round to float32 before they do.
    return tuple(fork_rows(trees, sources, in_float32=not hasattr(model, "_predictors")))


def _trees(model: Any) -> list[Tree]:
    if hasattr(model, "_predictors"):
        return histogram_trees(model._predictors)
    fitted = [model] if hasattr(model, "tree_") else np.ravel(getattr(model, "estimators_", []))
    return [tree_of(one.tree_, one.tree_.value[:, 0, 0]) for one in fitted]


def _sources(block: Block, codes: Codes) -> list[Source | None]:
    """The columns behind the features of a block, where a feature is a column's value or its code."""
    if isinstance(block, Numbers):
        is_scaled = block.mean is not None or block.scale is not None
        return [None if is_scaled else Source(name) for name in block.names]
    return [Source(block.name, codes.categories[block.name])] if block.width == 1 else [None] * block.width
