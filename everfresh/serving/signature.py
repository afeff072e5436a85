"""What a model reads and answers, as tensors: the same names and kinds in every protocol that has tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from everfresh.packaging.manifest import Manifest
from everfresh.serving.inference import Inference

ROWS = -1
"""The size of a dimension that has as many places as the request has rows."""

_DATATYPES = {"float": "FP64", "integer": "INT64", "boolean": "BOOL", "category": "BYTES", "datetime": "BYTES"}


@dataclass(frozen=True)
class TensorSpec:
    """A tensor that is read or answered; its datatype in the words of the Open Inference Protocol."""

    name: str
    datatype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Tensor:
    """A tensor of an answer. Its values are a list of texts, or an array of its shape."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    values: Sequence[Any] | NDArray[Any]


def inputs(manifest: Manifest) -> list[TensorSpec]:
    """What a model reads: a tensor for each column. Other datatypes are read where their values are of that kind."""
    return [TensorSpec(column.name, _DATATYPES[column.dtype], (ROWS,)) for column in manifest.columns]


def outputs(manifest: Manifest) -> list[TensorSpec]:
    """What a model answers: a classifier `probabilities` and `label`, a regression `value`."""
    if not manifest.classes:
        return [TensorSpec("value", "FP64", (ROWS,))]
    return [
        TensorSpec("probabilities", "FP64", (ROWS, len(manifest.classes))),
        TensorSpec("label", "BYTES", (ROWS,)),
    ]


def answers(inference: Inference) -> list[Tensor]:
    """The tensors of an answer, in the order of `outputs`."""
    return [
        Tensor(
            spec.name,
            spec.datatype,
            (inference.rows, *spec.shape[1:]),
            inference.labels if spec.name == "label" else inference.answer,
        )
        for spec in outputs(inference.model.manifest)
    ]


def row_ids(inference: Inference) -> Tensor:
    """What the rows are called in the inference log: labels come back by it."""
    return Tensor("id", "BYTES", (inference.rows,), inference.ids)
