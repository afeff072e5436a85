from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from everfresh.data.columns import Column
from everfresh.spec.training import CandidateSpec
from everfresh.training.examples import Examples

COLUMNS = (Column("distance", "float"), Column("carrier", "category"), Column("empty", "float"))


@pytest.fixture
def columns() -> tuple[Column, ...]:
    """A number and a category that say something, and a number that never has a value."""
    return COLUMNS


@pytest.fixture
def table() -> Callable[..., Examples]:
    """Examples whose label depends on both columns; with as many classes as asked for, or a number to predict."""

    def of(rows: int, seed: int = 0, classes: int = 2) -> Examples:
        random = np.random.default_rng(seed)
        distance, carrier = random.normal(size=rows), random.choice(["AA", "B6", "UA"], rows)
        signal = distance + (carrier == "B6") + random.normal(0, 0.5, rows)
        frame = pd.DataFrame({"distance": distance, "carrier": pd.Series(carrier, dtype="str"), "empty": np.nan})
        frame.loc[::7, "distance"] = np.nan
        frame.loc[::11, "carrier"] = np.nan
        labels: Any = signal
        if classes:
            edges = np.linspace(-1, 1.5, classes + 1)[1:-1]
            labels = np.array([f"class {code}" for code in np.searchsorted(edges, signal)])
        return Examples(frame, labels)

    return of


@pytest.fixture
def candidate() -> Callable[..., CandidateSpec]:
    def named(estimator: str, name: str = "c", **params: Any) -> CandidateSpec:
        return CandidateSpec.model_validate({"name": name, "estimator": estimator, "params": params})

    return named
