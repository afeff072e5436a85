"""The two models and the rows that every peer is asked: made once for a run, the same for everybody."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression

from everfresh.data.columns import Column
from everfresh.packaging.bundle import open_bundle
from everfresh.packaging.manifest import ModelFacts
from everfresh.packaging.pipelines import STORED, dump_pipeline
from everfresh.packaging.writing import write_bundle
from everfresh.serving.versions.state import install_bundle, want_version
from everfresh.training.pipeline import build_pipeline

NUMBERS = tuple(f"n{number}" for number in range(10))
CATEGORIES = {"c0": 4, "c1": 8, "c2": 20, "c3": 40}
COLUMNS = (*(Column(name, "float") for name in NUMBERS), *(Column(name, "category") for name in CATEGORIES))
ROWS = 20_000
BATCH_ROWS = 1_000
# Different bodies in turn, so that nobody answers from a cache.
SINGLES, BATCHES = 512, 8

ESTIMATORS: dict[str, BaseEstimator] = {
    "boosting": HistGradientBoostingClassifier(max_iter=100, early_stopping=False, random_state=7),
    "logistic": LogisticRegression(max_iter=1_000),
}


@dataclass(frozen=True)
class Question:
    """Rows to ask about, and the probabilities that scikit-learn gives them in this process."""

    rows: pd.DataFrame
    expected: np.ndarray


@dataclass(frozen=True)
class Model:
    """A fitted model in the forms that the servers load.

    Attributes:
        name: boosting or logistic.
        stored: a directory with the fitted pipeline as skops wrote it, for the peers.
        root: the root of an everfresh server that has the model in versions 1 and 2, which are the same.
        singles: questions of one row.
        batches: questions of 1,000 rows.
    """

    name: str
    stored: Path
    root: Path
    singles: list[Question]
    batches: list[Question]


def make_model(name: str, directory: Path) -> Model:
    """Fit a model and store it below `directory`; takes a few seconds."""
    rows, labels = synthetic_rows(ROWS + SINGLES + BATCHES * BATCH_ROWS)
    pipeline = build_pipeline(ESTIMATORS[name], COLUMNS).fit(rows[:ROWS], labels[:ROWS])
    stored, root = directory / name / "stored", directory / name / "root"
    stored.mkdir(parents=True, exist_ok=True)
    (stored / STORED).write_bytes(dump_pipeline(pipeline, name))
    (stored / "columns.json").write_text(json.dumps([column.name for column in COLUMNS]))
    facts = ModelFacts(name, "classification", ("no", "yes"), COLUMNS, "label", datetime.now(UTC))
    write_bundle(directory / name / "bundle", pipeline, facts, rows=rows[:ROWS], profile={})
    bundle = open_bundle(directory / name / "bundle")
    for version in (1, 2):
        install_bundle(root, bundle, version=version)
    want_version(root, name, 1)
    asked = Question(rows[ROWS:], np.asarray(pipeline.predict_proba(rows[ROWS:])))
    return Model(
        name,
        stored,
        root,
        singles=[_part(asked, start, start + 1) for start in range(SINGLES)],
        batches=[_part(asked, SINGLES + n * BATCH_ROWS, SINGLES + (n + 1) * BATCH_ROWS) for n in range(BATCHES)],
    )


def synthetic_rows(count: int) -> tuple[pd.DataFrame, np.ndarray]:
    """Ten numbers of different shapes with four decimals, four categories, and a label that depends on most of them."""
    random = np.random.default_rng(2026)
    numbers = random.normal(size=(count, len(NUMBERS)))
    numbers[:, 3:6] = np.exp(numbers[:, 3:6])
    numbers[:, 6] = random.integers(0, 100, count)
    codes = {name: random.integers(0, size, count) for name, size in CATEGORIES.items()}
    rows = pd.DataFrame(np.round(numbers, 4), columns=list(NUMBERS)).assign(
        **{name: pd.Series([f"{name}-value-{code}" for code in values], dtype="str") for name, values in codes.items()}
    )
    score = numbers[:, 0] - 0.5 * numbers[:, 1] * (codes["c0"] > 1) + 0.3 * numbers[:, 3] - 0.02 * numbers[:, 6]
    score += 0.2 * (codes["c3"] % 5) + 0.1 * (codes["c2"] - 10)
    return rows, np.where(random.random(count) < 1 / (1 + np.exp(-score)), "yes", "no").astype(object)


def _part(question: Question, start: int, end: int) -> Question:
    return Question(question.rows[start:end], question.expected[start:end])
