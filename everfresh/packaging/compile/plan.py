"""Compiling a fitted pipeline into an exact scoring plan, or saying why there is none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sklearn.pipeline import Pipeline

from everfresh.data.columns import Column
from everfresh.packaging.codes import Codes
from everfresh.packaging.compile.estimators import answer_of
from everfresh.packaging.compile.exactness import Change, NoExactExport
from everfresh.packaging.compile.features import after, read_features
from everfresh.packaging.compile.graph import Graph
from everfresh.packaging.compile.preparation import codes_of, read_pipeline
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
    """The exact plan of a fitted pipeline that reads a model frame of `columns`.

    "Exact" is by construction, up to the order of additions; whether it holds is then measured (see `parity`).
    """
    if task == "classification" and len(pipeline.classes_) < 2:
        return NotCompiled("a classifier of one class has no exact export")
    try:
        fitted = read_pipeline(pipeline, columns)
        codes = codes_of(fitted.blocks)
        graph = Graph(len(codes.inputs))
        features = after(read_features(graph, fitted.blocks, codes), fitted.steps)
        answer = answer_of(features, fitted.model)
    except NoExactExport as no:
        return NotCompiled(str(no))
    except Exception as error:  # a configuration that nobody thought of; the stored pipeline is right all the same
        return NotCompiled(f"its compilation failed ({type(error).__name__}: {error})")
    return CompiledPlan(graph.finished(answer), codes, tuple(graph.hard_rows))
