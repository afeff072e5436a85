"""Fitted scikit-learn pipelines: what they answer, and how they are stored and loaded without running foreign code.

The stored form is skops: a zip of arrays and of the names of types, checked against a list before any
type is imported. The list is ours and reviewed; one that lies beside a model is never read.
"""

from __future__ import annotations

import zipfile
from typing import cast

import numpy as np
import pandas as pd
import skops.io
from sklearn.pipeline import Pipeline
from skops.io.exceptions import UntrustedTypesFoundException

from everfresh.errors import BundleDamaged, TypesRefused
from everfresh.packaging.batch import Answer
from everfresh.packaging.bundle import Bundle
from everfresh.spec.metrics import Task

STORED = "model.skops"

# Beside what skops trusts by itself (scikit-learn's estimators, numpy's arrays). Each holds arrays and numbers
# and calls nothing that is named in the file. `functools.partial` must never come in here: with any callable
# that is trusted, too, it runs code.
REVIEWED_TYPES = (
    "numpy.dtype",
    "sklearn._loss.loss.HalfTweedieLossIdentity",
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.calibration._TemperatureScaling",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.metrics._dist_metrics.EuclideanDistance64",
    "sklearn.neighbors._kd_tree.KDTree",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
    "sklearn.tree._tree.Tree",
    "sklearn.utils._bunch.Bunch",
)


def pipeline_answer(pipeline: Pipeline, frame: pd.DataFrame, task: Task) -> Answer:
    """What a fitted pipeline answers to a model frame: probabilities [rows, classes], or values [rows]."""
    if task == "classification":
        return np.asarray(pipeline.predict_proba(frame), dtype=np.float64)
    return np.asarray(pipeline.predict(frame), dtype=np.float64).reshape(-1)


def dump_pipeline(pipeline: Pipeline, name: str) -> bytes:
    """The pipeline as bytes that `load_pipeline` accepts.

    Raises:
        TypesRefused: it is made of a type that nobody reviewed, so it could never be loaded.
    """
    # Compressed at the lowest level: a fifth of the size, and not slower to write or to load.
    content = cast(bytes, skops.io.dumps(pipeline, compression=zipfile.ZIP_DEFLATED, compresslevel=1))
    read_pipeline(content, name)
    return content


def load_pipeline(bundle: Bundle) -> Pipeline:
    """The fitted pipeline of a bundle; its bytes are verified before anything in them is looked at.

    Raises:
        BundleDamaged: the bytes are not the ones that were packed, or hold no pipeline.
        TypesRefused: they name a type that nobody reviewed; nothing was imported.
    """
    content = bundle.read(STORED)
    try:
        pipeline = read_pipeline(content, str(bundle.directory))
    except TypesRefused:
        raise
    except Exception as error:  # what is no skops file, or one of other versions, fails in any way
        why = f"cannot be loaded by the installed versions ({type(error).__name__}: {error})"
        raise BundleDamaged(bundle.directory, STORED, why) from error
    if not isinstance(pipeline, Pipeline):
        raise BundleDamaged(bundle.directory, STORED, f"holds a {type(pipeline).__name__} and no pipeline")
    return pipeline


def read_pipeline(content: bytes, where: str) -> Pipeline:
    """The pipeline in `content`, if it is made of reviewed types only; `where` is for the error.

    Raises:
        TypesRefused: it names a type that nobody reviewed.
    """
    try:
        return cast(Pipeline, skops.io.loads(content, trusted=list(REVIEWED_TYPES)))
    except UntrustedTypesFoundException as error:
        unknown = skops.io.get_untrusted_types(data=content)
        raise TypesRefused(where, [name for name in unknown if name not in REVIEWED_TYPES]) from error
