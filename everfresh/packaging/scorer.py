"""What answers a batch: the compiled plan or, where there is no exact plan, the stored pipeline.

The inference server imports this module; scikit-learn and pandas are imported only where a bundle needs them.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Protocol

import onnxruntime

from everfresh.packaging.batch import Answer, Batch, values_of
from everfresh.packaging.bundle import Bundle
from everfresh.packaging.codes import Codes
from everfresh.packaging.manifest import ScoringPath
from everfresh.spec.metrics import Task

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pandas import DataFrame
    from sklearn.pipeline import Pipeline

    from everfresh.data.columns import Column

PLAN = "model.onnx"
CODES = "codes.json"


class Scorer(Protocol):
    """Answers batches. It may be called from several threads at once."""

    path: ScoringPath

    def score(self, batch: Batch) -> Answer:
        """The answer to each row, in the order of the rows."""
        ...


class OnnxScorer:
    """The compiled plan in ONNX Runtime, on the thread that asks."""

    path: ScoringPath = "onnx"

    def __init__(self, model: bytes, codes: Codes, task: Task) -> None:
        options = onnxruntime.SessionOptions()
        # One request, one thread: the server's workers are the parallelism, and a spinning pool would eat their cores.
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self._codes = codes
        self._is_regression = task == "regression"

    def score(self, batch: Batch) -> Answer:
        """The answer of the plan."""
        answer: Answer = self._session.run(["answer"], {"matrix": self._codes.matrix(batch)})[0]
        return answer.reshape(-1) if self._is_regression else answer


class PipelineScorer:
    """The fitted scikit-learn pipeline as it is: right for every estimator, and hundreds of times slower."""

    path: ScoringPath = "sklearn"

    def __init__(self, pipeline: Pipeline, columns: Sequence[Column], task: Task) -> None:
        import pandas

        from everfresh.packaging.pipelines import pipeline_answer

        self._pandas = pandas
        self._answer = pipeline_answer
        self._pipeline = pipeline
        self._columns = columns
        self._task: Task = task

    def score(self, batch: Batch) -> Answer:
        """The answer of the pipeline."""
        return self._answer(self._pipeline, self._frame(batch), self._task)

    def _frame(self, batch: Batch) -> DataFrame:
        """The batch as a model frame."""
        text = {name: self._pandas.Series(list(values_of(v)), dtype="str") for name, v in batch.categories.items()}
        return self._pandas.DataFrame(
            {c.name: text[c.name] if c.is_category else batch.numbers[c.name] for c in self._columns}
        )


def open_scorer(bundle: Bundle) -> Scorer:
    """What answers for this bundle, by the path that its manifest names.

    Raises:
        BundleDamaged: a file that is needed holds other bytes than were packed.
        TypesRefused: the stored pipeline needs a type that nobody reviewed.
    """
    manifest = bundle.manifest
    if manifest.path == "onnx":
        return OnnxScorer(bundle.read(PLAN), Codes.from_json(json.loads(bundle.read(CODES))), manifest.task)

    from everfresh.packaging.arrays import ARRAYS, arrays_of
    from everfresh.packaging.pipelines import load_pipeline

    pipeline = load_pipeline(bundle)
    # The file says that the pipeline was tried without frames, and answered as it does with them.
    arrays = arrays_of(pipeline, manifest.columns, manifest.task) if ARRAYS in manifest.files else None
    return arrays or PipelineScorer(pipeline, manifest.columns, manifest.task)
