"""The fitted pipeline inside a peer's environment: loaded from skops, asked with columns of values.

Every peer's application imports this; it needs scikit-learn, pandas and skops, and nothing of everfresh.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pandas as pd
from skops import io

DIRECTORY = Path(os.environ["EVERFRESH_BENCH_MODEL"])
COLUMNS: list[str] = json.loads((DIRECTORY / "columns.json").read_text())


def load_pipeline() -> Any:
    """The pipeline that the benchmark fitted."""
    file = DIRECTORY / "model.skops"
    return io.load(file, trusted=io.get_untrusted_types(file=file))


def probabilities(pipeline: Any, columns: dict[str, list[Any]]) -> list[list[float]]:
    """The answer to a table of columns."""
    rows: list[list[float]] = pipeline.predict_proba(pd.DataFrame(columns, columns=COLUMNS)).tolist()
    return rows


def together(tables: list[dict[str, list[Any]]]) -> dict[str, list[Any]]:
    """Several tables one below the other."""
    return {name: [value for table in tables for value in table[name]] for name in COLUMNS}


def apart(answers: list[list[float]], tables: list[dict[str, list[Any]]]) -> list[list[list[float]]]:
    """The answers of each of the tables that were put together."""
    parts, start = [], 0
    for table in tables:
        end = start + len(table[COLUMNS[0]])
        parts.append(answers[start:end])
        start = end
    return parts
