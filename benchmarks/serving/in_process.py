"""The other floor: the model called in a process, without a server, from rows as JSON gives them.

`python -m benchmarks.serving.in_process BUNDLE` prints microseconds of processor time a call, as JSON.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.serving.models import BATCH_ROWS, COLUMNS, synthetic_rows
from everfresh.packaging.bundle import open_bundle
from everfresh.packaging.pipelines import load_pipeline
from everfresh.packaging.scorer import open_scorer
from everfresh.serving.questions.decoding import RowReader

LEAST_S = 1.0


def main(directory: Path) -> None:
    """Measure and print."""
    bundle = open_bundle(directory)
    pipeline, scorer, reader = load_pipeline(bundle), open_scorer(bundle), RowReader(bundle.manifest)
    rows = synthetic_rows(BATCH_ROWS)[0].to_dict("list")
    figures: dict[str, float] = {}
    for count in (1, BATCH_ROWS):
        table = {column.name: rows[column.name][:count] for column in COLUMNS}
        figures[f"sklearn_{count}_us"] = _cpu_us(lambda table=table: pipeline.predict_proba(pd.DataFrame(table)))
        figures[f"plan_{count}_us"] = _cpu_us(lambda table=table: scorer.score(reader.read(table).batch))
    sys.stdout.write(json.dumps(figures) + "\n")


def _cpu_us(call: Callable[[], Any]) -> float:
    call()
    calls, began, before = 0, time.monotonic(), _spent()
    while time.monotonic() - began < LEAST_S:
        call()
        calls += 1
    return 1e6 * (_spent() - before) / calls


def _spent() -> float:
    times = os.times()
    return times.user + times.system


if __name__ == "__main__":
    main(Path(sys.argv[1]))
