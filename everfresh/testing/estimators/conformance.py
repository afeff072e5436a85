"""Fit a pipeline, pack it, open the bundle as a server does, and compare what is served with what was fitted."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import clone, is_classifier
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits

from everfresh.errors import NoAnswer, TypesRefused
from everfresh.packaging.arrays import ArrayScorer
from everfresh.packaging.batch import Answer, batch_of
from everfresh.packaging.bundle import Bundle, open_bundle
from everfresh.packaging.golden import largest_difference
from everfresh.packaging.manifest import ModelFacts
from everfresh.packaging.parity import parity_of
from everfresh.packaging.pipelines import pipeline_answer
from everfresh.packaging.scorer import OnnxScorer, Scorer, open_scorer
from everfresh.packaging.writing import write_bundle
from everfresh.serving.questions.decoding import RowReader
from everfresh.testing.estimators.catalogue import Case, Learns
from everfresh.testing.estimators.rows import (
    COLUMNS,
    Values,
    at_the_edges,
    frame_of,
    training_values,
    wild_values,
)

Way = Literal["compiled", "without frames", "with frames", "refused", "cannot be fitted"]

_ROWS = 400


@dataclass(frozen=True)
class Served:
    """What became of a case.

    Attributes:
        way: how it is served, or why not at all.
        reason: the sentence in its bundle, or in the error.
        rows: how many rows were compared; some pipelines refuse some rows, which are left out.
        difference: the largest difference to the fitted pipeline; see `largest_difference`.
        flips: rows with another most probable class.
    """

    way: Way
    reason: str
    rows: int = 0
    difference: float = 0.0
    flips: int = 0


def serve(case: Case, directory: Path) -> Served:
    """Do all of that for one case; the bundle is written to `directory`."""
    with warnings.catch_warnings(), np.errstate(all="ignore"), threadpool_limits(1):
        # Few iterations and awkward rows on purpose: what scikit-learn says of that is not what is measured.
        warnings.simplefilter("ignore")
        values = training_values(_ROWS, seed=0)
        frame = frame_of(values)
        try:
            pipeline = clone(case.pipeline).fit(frame, labels(frame, case.learns))
        except (ValueError, TypeError, np.linalg.LinAlgError) as error:
            return Served("cannot be fitted", _first_line(error))
        if case.learns != "number" and not hasattr(pipeline, "predict_proba"):
            return Served("refused", "it gives no probabilities")
        try:
            write_bundle(directory, pipeline, _facts(pipeline), rows=frame, profile={})
        except (TypesRefused, NoAnswer) as error:
            return Served("refused", _first_line(error))
        bundle = open_bundle(directory)
        return _compared(bundle, open_scorer(bundle), pipeline, wild_values(values))


def labels(frame: pd.DataFrame, learns: Learns) -> NDArray[Any]:
    """Something to learn from numbers and categories alike, with noise."""
    noise = np.random.default_rng(3).normal(0, 0.5, len(frame))
    signal = frame["distance"].fillna(0) / 400 + (frame["carrier"] == "AA") * 2 + (frame["gate"] == "3")
    noisy = (signal - (frame["night"] == 1) * (frame["account"] == "007") + noise).to_numpy()
    if learns == "number":
        return np.asarray(np.exp(noisy / 3))
    places = pd.qcut(noisy, 2 if learns == "two" else 3, labels=False)
    return np.array(["early", "late", "on time"], dtype=object)[places]


def _compared(bundle: Bundle, scorer: Scorer, pipeline: Pipeline, values: Values) -> Served:
    manifest = bundle.manifest
    sent = RowReader(manifest).read(values).batch
    frame = frame_of(values)

    def expected_of(rows: pd.DataFrame) -> Answer:
        return pipeline_answer(pipeline, rows, manifest.task)

    accepted = _accepted(frame, expected_of)
    expected = expected_of(frame[accepted])
    answer = scorer.score(sent)[accepted] if accepted.all() else scorer.score(batch_of(frame[accepted], COLUMNS))
    # An edge that is served elsewhere than it was fitted has one of its two rows on the wrong side.
    edges = at_the_edges(frame[accepted].head(_ROWS), lambda rows: scorer.score(batch_of(rows, COLUMNS)))
    if len(edges):
        expected = np.concatenate([expected, expected_of(edges)])
        answer = np.concatenate([answer, scorer.score(batch_of(edges, COLUMNS))])
    parity = parity_of(expected, answer, manifest.task)
    alone = scorer.score(batch_of(frame[accepted].iloc[[0]], COLUMNS))
    served = Served(_way(scorer), manifest.path_reason, len(expected), parity.largest_difference, parity.label_flips)
    return replace(served, difference=max(served.difference, largest_difference(expected[:1], alone)))


def _accepted(frame: pd.DataFrame, answer: Callable[[pd.DataFrame], Answer]) -> NDArray[np.bool_]:
    """Which rows the fitted pipeline answers at all."""
    try:
        answer(frame)
    except ValueError:
        accepted = np.zeros(len(frame), dtype=bool)
        for row in range(len(frame)):
            try:
                answer(frame.iloc[[row]])
            except ValueError:
                continue
            accepted[row] = True
        return accepted
    return np.ones(len(frame), dtype=bool)


def _way(scorer: Scorer) -> Way:
    if isinstance(scorer, OnnxScorer):
        return "compiled"
    return "without frames" if isinstance(scorer, ArrayScorer) else "with frames"


def _facts(pipeline: Pipeline) -> ModelFacts:
    classifies = is_classifier(pipeline)
    return ModelFacts(
        name="flights",
        task="classification" if classifies else "regression",
        classes=tuple(str(label) for label in pipeline.classes_) if classifies else (),
        columns=COLUMNS,
        label="late",
        created_at=datetime(2013, 7, 1, tzinfo=UTC),
    )


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
