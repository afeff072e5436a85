"""Fitted scikit-learn pipelines: what they answer, and how they are stored and loaded without running foreign code.

The stored form is skops: a zip of arrays and of the names of types, checked against a list before any
type is imported. The list is ours and reviewed; one that lies beside a model is never read.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from typing import Any, cast

import numpy as np
import pandas as pd
import skops.io
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.feature_selection import (
    GenericUnivariateSelect,
    SelectFdr,
    SelectFpr,
    SelectFwe,
    SelectKBest,
    SelectPercentile,
)
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer
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
    "sklearn._loss.loss.HalfTweedieLoss",
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

_SELECTORS = (GenericUnivariateSelect, SelectFdr, SelectFpr, SelectFwe, SelectKBest, SelectPercentile)


def pipeline_answer(pipeline: BaseEstimator, frame: pd.DataFrame | NDArray[np.float64], task: Task) -> Answer:
    """What a fitted pipeline answers to a model frame, or its last step to a matrix of features.

    Probabilities [rows, classes], or values [rows].
    """
    if task == "classification":
        return np.asarray(pipeline.predict_proba(frame), dtype=np.float64)
    return np.asarray(pipeline.predict(frame), dtype=np.float64).reshape(-1)


def dump_pipeline(pipeline: Pipeline, name: str) -> bytes:
    """The pipeline as bytes that `load_pipeline` accepts.

    Raises:
        TypesRefused: it is made of a type that nobody reviewed, so it could never be loaded.
    """
    # Compressed at the lowest level: a fifth of the size, and not slower to write or to load.
    content = cast(bytes, skops.io.dumps(_storable(pipeline), compression=zipfile.ZIP_DEFLATED, compresslevel=1))
    read_pipeline(content, name)
    return content


def estimators_in(found: Any) -> Iterator[BaseEstimator]:
    """All fitted estimators in an object, however deep, each of them once."""
    seen: dict[int, Any] = {}
    waiting = [found]
    while waiting:
        part = waiting.pop()
        if id(part) not in seen:
            seen[id(part)] = part
            waiting.extend(_parts(part))
            if isinstance(part, BaseEstimator):
                yield part


def _parts(whole: Any) -> Iterable[Any]:
    if isinstance(whole, np.ndarray):
        return whole.ravel() if whole.dtype == object else ()
    if isinstance(whole, Mapping):
        return whole.values()
    if isinstance(whole, list | tuple):
        return whole
    # Among scikit-learn's own objects, a calibrated classifier is no estimator and has one.
    is_scikit_learns = type(whole).__module__.startswith("sklearn.") or isinstance(whole, BaseEstimator)
    return list(vars(whole).values()) if is_scikit_learns and hasattr(whole, "__dict__") else ()


def _storable(pipeline: Pipeline) -> Pipeline:
    """The pipeline without functions that it no longer needs, and that could not be loaded for good reasons.

    HistGradientBoosting with categorical features keeps a `functools.partial` of the function that makes float64 of
    numbers, which here they are. A selector keeps the function by which it chose the features.
    """
    if not any(_native_numbers(part) or isinstance(part, _SELECTORS) for part in estimators_in(pipeline)):
        return pipeline
    copy = deepcopy(pipeline)
    for part in list(estimators_in(copy)):
        for transformer in _native_numbers(part):
            transformer.func = None
        if isinstance(part, _SELECTORS):
            part.score_func = None
    return copy


def _native_numbers(estimator: BaseEstimator) -> list[FunctionTransformer]:
    if not isinstance(estimator, HistGradientBoostingClassifier | HistGradientBoostingRegressor):
        return []
    preprocessor = getattr(estimator, "_preprocessor", None)  # a part that others were fitted from has none
    if preprocessor is None:
        return []
    inside = estimators_in([preprocessor.transformers, preprocessor.transformers_])
    return [part for part in inside if isinstance(part, FunctionTransformer)]


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
