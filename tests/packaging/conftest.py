"""A small table with every type of column, labels for it, and the way from an estimator to a bundle."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, is_classifier
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits

from everfresh.data.columns import Column
from everfresh.data.frames import model_frame
from everfresh.packaging.batch import Answer, batch_of
from everfresh.packaging.bundle import Bundle, open_bundle
from everfresh.packaging.golden import largest_difference
from everfresh.packaging.manifest import ModelFacts
from everfresh.packaging.pipelines import pipeline_answer
from everfresh.packaging.scorer import open_scorer
from everfresh.packaging.writing import write_bundle
from everfresh.training.pipeline import build_pipeline

COLUMNS = (
    Column("distance", "float"),
    Column("seats", "integer"),
    Column("night", "boolean"),
    Column("scheduled_at", "datetime"),
    Column("carrier", "category"),
    Column("gate", "category"),
)


@dataclass(frozen=True)
class Packed:
    """A fitted pipeline and the bundle that was made of it."""

    pipeline: Pipeline
    bundle: Bundle

    def difference(self, frame: pd.DataFrame) -> float:
        """How far the bundle's answer to a model frame is from the pipeline's."""
        manifest = self.bundle.manifest
        answer = open_scorer(self.bundle).score(batch_of(frame, manifest.columns))
        return largest_difference(self.expected(frame), answer)

    def expected(self, frame: pd.DataFrame) -> Answer:
        return pipeline_answer(self.pipeline, frame, self.bundle.manifest.task)


def flights(rows: int, seed: int) -> pd.DataFrame:
    """A project's table as it comes from a source: its own types, and a tenth of all values missing."""
    random = np.random.default_rng(seed)
    start = pd.Timestamp("2013-01-01T05:15:00Z")
    table = pd.DataFrame(
        {
            "distance": random.normal(1000, 400, rows),
            "seats": pd.array(random.integers(50, 300, rows), dtype="Int64"),
            "night": pd.array(random.random(rows) < 0.3, dtype="boolean"),
            "scheduled_at": start + pd.to_timedelta(random.integers(0, 10_000_000, rows), unit="s"),
            "carrier": pd.Series(random.choice(["AA", "UA", "B6"], rows)),
            "gate": random.choice([1.0, 2.0, 3.5], rows),
        }
    )
    return table.mask(random.random(table.shape) < 0.1)


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """Small fits are faster on one thread, and much faster where the other cores are busy."""
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="session")
def columns() -> tuple[Column, ...]:
    return COLUMNS


@pytest.fixture(scope="session")
def table() -> pd.DataFrame:
    return flights(300, seed=0)


@pytest.fixture(scope="session")
def frame(table: pd.DataFrame) -> pd.DataFrame:
    return model_frame(table, COLUMNS)


@pytest.fixture(scope="session")
def unseen(table: pd.DataFrame) -> pd.DataFrame:
    """A model frame of other rows, with a carrier and a gate that training never saw."""
    later = flights(200, seed=1)
    later["carrier"] = later["carrier"].replace("B6", "ZZ")
    later["gate"] = later["gate"].replace(2.0, 99.0)
    return model_frame(later, COLUMNS)


@pytest.fixture(scope="session")
def labels(frame: pd.DataFrame) -> Mapping[str, Any]:
    """By what there is to learn: `two` or `three` classes, or a `number` above 0."""
    noise = np.random.default_rng(2).normal(0, 0.5, len(frame))
    signal = (frame["distance"].fillna(0) / 400 + (frame["carrier"] == "AA") * 2 + noise).to_numpy()
    return {
        "two": np.where(signal > np.median(signal), "late", "on time"),
        "three": np.array(["early", "late", "on time"])[pd.qcut(signal, 3, labels=False)],
        "number": np.exp(signal / 3),
    }


@pytest.fixture(scope="session")
def facts_of() -> Callable[[Pipeline], ModelFacts]:
    def facts(pipeline: Pipeline) -> ModelFacts:
        classifies = is_classifier(pipeline)
        return ModelFacts(
            name="flight-delays",
            task="classification" if classifies else "regression",
            classes=tuple(str(label) for label in pipeline.classes_) if classifies else (),
            columns=COLUMNS,
            label="delayed",
            created_at=datetime(2013, 7, 1, 12, 30, tzinfo=UTC),
            id_column="flight_id",
            time_column="scheduled_at",
            trained_through=datetime(2013, 6, 30, tzinfo=UTC),
            metadata={"spec_hash": "abc"},
        )

    return facts


@pytest.fixture(scope="session")
def fitted(frame: pd.DataFrame, labels: Mapping[str, Any]) -> Callable[[BaseEstimator, str], Pipeline]:
    def fit(estimator: BaseEstimator, learns: str) -> Pipeline:
        return build_pipeline(estimator, COLUMNS).fit(frame, labels[learns])

    return fit


@pytest.fixture(scope="session")
def packed(table: pd.DataFrame, facts_of: Callable[[Pipeline], ModelFacts]) -> Callable[[Pipeline, Path], Packed]:
    def pack(pipeline: Pipeline, directory: Path) -> Packed:
        write_bundle(directory, pipeline, facts_of(pipeline), rows=table, profile={"rows": len(table)})
        return Packed(pipeline, open_bundle(directory))

    return pack


@pytest.fixture(scope="session")
def boosting(fitted: Callable[[BaseEstimator, str], Pipeline]) -> Pipeline:
    return fitted(HistGradientBoostingClassifier(max_iter=20, random_state=0), "two")


@pytest.fixture(scope="session")
def linear(fitted: Callable[[BaseEstimator, str], Pipeline]) -> Pipeline:
    return fitted(LinearRegression(), "number")


@pytest.fixture
def bundle(linear: Pipeline, packed: Callable[[Pipeline, Path], Packed], tmp_path: Path) -> Bundle:
    return packed(linear, tmp_path / "bundle").bundle
