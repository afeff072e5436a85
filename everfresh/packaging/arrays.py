"""The stored pipeline without frames: its own fitted steps, each called with a plain float64 matrix.

Nearly all of the time that a pipeline takes for one row is pandas': a frame is built, taken apart column by column,
and every step looks at its names. Here numbers go through the same fitted transformers as arrays, categories are
looked up in tables that the fitted encoders filled in, and the estimator itself answers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import config_context
from sklearn.pipeline import Pipeline

from everfresh.data.columns import Column
from everfresh.packaging.batch import Answer, Batch
from everfresh.packaging.compile.exactness import NoExactExport
from everfresh.packaging.compile.preparation import Block, Fitted, Numbers, codes_of, is_plain, read_pipeline
from everfresh.packaging.manifest import ScoringPath
from everfresh.packaging.pipelines import estimators_in, pipeline_answer
from everfresh.spec.metrics import Task

ARRAYS = "arrays.json"

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class _Part:
    """What becomes of some neighbouring columns of the matrix: fitted steps, or a look into a table."""

    columns: slice
    steps: tuple[Any, ...] = ()
    table: Matrix | None = None
    first_row: int = 0

    def features(self, matrix: Matrix) -> Matrix:
        own = matrix[:, self.columns]
        if self.table is not None:
            return self.table[own[:, 0].astype(np.intp) - self.first_row]
        return _through(own, self.steps)


class ArrayScorer:
    """A fitted pipeline that answers without frames; `arrays_of` makes one where that can be done."""

    path: ScoringPath = "sklearn"

    def __init__(self, fitted: Fitted, task: Task) -> None:
        self._codes = codes_of(fitted.blocks)
        self._parts = list(_parts(fitted.blocks))
        self._steps = fitted.steps
        self._model = fitted.model
        self._task: Task = task

    def score(self, batch: Batch) -> Answer:
        """The answer of the pipeline's own estimator."""
        matrix = self._codes.matrix(batch)
        # Parameters were validated when the pipeline was fitted, and are validated again by every call otherwise.
        with config_context(skip_parameter_validation=True):
            features = np.hstack([part.features(matrix) for part in self._parts])
            return pipeline_answer(self._model, _through(features, self._steps), self._task)


def arrays_of(pipeline: Pipeline, columns: Sequence[Column], task: Task) -> ArrayScorer | None:
    """The pipeline as a scorer without frames, if it is made of what can be called so.

    The pipeline is the scorer's from now on: its steps forget the names of their columns, as they would warn of
    each array that it has none.
    """
    try:
        fitted = read_pipeline(pipeline, columns)
    except NoExactExport:
        return None
    for part in estimators_in(pipeline):
        vars(part).pop("feature_names_in_", None)
    return ArrayScorer(fitted, task)


def _parts(blocks: Sequence[Block]) -> Iterator[_Part]:
    position, first_row = 0, 0
    for block in blocks:
        columns = slice(position, position + len(block.names))
        position = columns.stop
        if isinstance(block, Numbers):
            yield _Part(columns, block.steps)
        elif is_plain(block):
            yield _Part(columns)
        else:
            yield _Part(columns, table=block.features, first_row=first_row)
            first_row += len(block.features)


def _through(values: Matrix, steps: Sequence[Any]) -> Matrix:
    for step in steps:
        values = step.transform(values)
    # As scikit-learn stores a matrix whose columns come from many sources: dense, unless a step says otherwise.
    return values.toarray() if hasattr(values, "toarray") else values
