"""Small real bundles: fitted pipelines whose answers differ, so that a mix-up of versions or models shows."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression, Ridge

from everfresh.data.columns import Column
from everfresh.packaging.batch import Answer
from everfresh.packaging.bundle import open_bundle
from everfresh.packaging.golden import GoldenRows, read_golden
from everfresh.packaging.manifest import ModelFacts
from everfresh.packaging.pipelines import load_pipeline, pipeline_answer
from everfresh.packaging.writing import write_bundle
from everfresh.training.pipeline import build_pipeline

COLUMNS = (Column("distance", "float"), Column("stops", "integer"), Column("carrier", "category"))

_ROWS = 200


@dataclass(frozen=True)
class ExampleBundle:
    """A bundle, its golden rows, and what the pipeline in it answers to them, in this process."""

    model: str
    directory: Path
    golden: GoldenRows
    answer: Answer


@dataclass(frozen=True)
class ExampleBundles:
    """Bundles of two models.

    Attributes:
        first, second: two versions of the classifier `delays`, whose answers differ by more than 0.1.
        other: the regression `fares`.
        damaged: `second` with other bytes in the file of its pipeline.
    """

    first: ExampleBundle
    second: ExampleBundle
    other: ExampleBundle
    damaged: Path


def make_bundles(directory: Path) -> ExampleBundles:
    """The bundles, written below `directory`; takes a second or two."""
    rows = _rows()
    late = (rows["distance"] + 300.0 * (rows["carrier"] == "AA") > 900.0).to_numpy()
    first = _classifier(directory / "first", rows, late)
    second = _classifier(directory / "second", rows, ~late)
    other = _regression(directory / "other", rows, 50.0 + 0.1 * rows["distance"].to_numpy())
    return ExampleBundles(first, second, other, damaged_copy(second.directory, directory / "damaged"))


def damaged_copy(bundle: Path, directory: Path) -> Path:
    """A copy of a bundle in which one file holds other bytes than its manifest says."""
    shutil.copytree(bundle, directory)
    with (directory / "model.skops").open("ab") as file:
        file.write(b"!")
    return directory


def _rows() -> pd.DataFrame:
    random = np.random.default_rng(7)
    return pd.DataFrame(
        {
            "distance": np.where(random.random(_ROWS) < 0.05, np.nan, random.uniform(100.0, 1500.0, _ROWS)),
            "stops": random.integers(0, 3, _ROWS).astype(float),
            "carrier": pd.Series(random.choice(["AA", "B6", "UA"], _ROWS), dtype="str"),
        }
    )


def _classifier(directory: Path, rows: pd.DataFrame, late: np.ndarray) -> ExampleBundle:
    labels = np.where(late, "late", "on time").astype(object)
    pipeline = build_pipeline(LogisticRegression(), COLUMNS).fit(rows, labels)
    facts = ModelFacts("delays", "classification", ("late", "on time"), COLUMNS, "delayed", datetime.now(UTC))
    write_bundle(directory, pipeline, facts, rows=rows, profile={})
    return _example("delays", directory)


def _regression(directory: Path, rows: pd.DataFrame, fare: np.ndarray) -> ExampleBundle:
    pipeline = build_pipeline(Ridge(), COLUMNS).fit(rows, np.nan_to_num(fare, nan=120.0))
    facts = ModelFacts("fares", "regression", (), COLUMNS, "fare", datetime.now(UTC))
    write_bundle(directory, pipeline, facts, rows=rows, profile={})
    return _example("fares", directory)


def _example(model: str, directory: Path) -> ExampleBundle:
    bundle = open_bundle(directory)
    golden = read_golden(bundle)
    frame = pd.DataFrame(
        {
            column.name: pd.Series(list(golden.batch.categories[column.name]), dtype="str")
            if column.is_category
            else golden.batch.numbers[column.name]
            for column in bundle.manifest.columns
        }
    )
    return ExampleBundle(model, directory, golden, pipeline_answer(load_pipeline(bundle), frame, bundle.manifest.task))
