"""What one row costs inside the server, without HTTP: CPU time of compiled plans and of scikit-learn, on one thread.

Prints microseconds a call and, because those are this machine's, how many times as much the pipeline costs as
scikit-learn answers it. Each call gets other rows than the one before: of rows that a processor has seen a moment
ago, it predicts the branches of all trees, and they cost a third.
"""

from __future__ import annotations

import os

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # before numpy reads them

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import Pipeline

from everfresh.data.columns import Column
from everfresh.packaging.arrays import arrays_of
from everfresh.packaging.batch import Batch, EncodedCategories, batch_of
from everfresh.packaging.compile.plan import CompiledPlan, compile_pipeline
from everfresh.packaging.pipelines import dump_pipeline, read_pipeline
from everfresh.packaging.scorer import OnnxScorer, PipelineScorer
from everfresh.training.pipeline import build_pipeline

ROWS = 20_000
SIZES = (1, 16, 64, 1000)
CATEGORIES = {"c0": 5, "c1": 12, "c2": 50, "c3": 200}
COLUMNS = (*(Column(f"n{place}", "float") for place in range(10)), *(Column(name, "category") for name in CATEGORIES))
ROUNDS, ROUND_SECONDS = 5, 0.1


def main() -> None:
    """Fit, compile, and print a table for each model."""
    frame, labels = table()
    rows = batch_of(frame, COLUMNS)
    for name, model in {
        "boosting, 100 iterations": HistGradientBoostingClassifier(max_iter=100, random_state=0),
        "logistic": LogisticRegression(max_iter=500),
    }.items():
        compiled(name, build_pipeline(model, COLUMNS).fit(frame, labels), rows)
    without_frames(
        "normal naive Bayes, which is not compiled", build_pipeline(GaussianNB(), COLUMNS).fit(frame, labels), rows
    )


def table() -> tuple[pd.DataFrame, np.ndarray]:
    """20,000 rows of ten numbers and four categories, and which of two classes they are of."""
    random = np.random.default_rng(0)
    numbers = {f"n{place}": random.normal(0, 1, ROWS) for place in range(10)}
    categories = {
        name: pd.Series([f"k{value}" for value in random.integers(0, count, ROWS)], dtype="str")
        for name, count in CATEGORIES.items()
    }
    frame = pd.DataFrame({**numbers, **categories})
    signal = frame["n0"] + frame["n1"] * frame["n2"] + (frame["c0"] == "k1") + (frame["c1"] == "k3") * frame["n3"]
    return frame, np.where(signal + random.normal(0, 0.5, ROWS) > signal.median(), "late", "on time")


def compiled(name: str, pipeline: Pipeline, rows: Batch) -> None:
    """Codes, ONNX Runtime and both, beside scikit-learn."""
    plan = compile_pipeline(pipeline, COLUMNS, "classification")
    assert isinstance(plan, CompiledPlan)
    scorer, whole = (
        OnnxScorer(plan.model, plan.codes, "classification"),
        PipelineScorer(pipeline, COLUMNS, "classification"),
    )
    session = scorer._session
    heads = ("codes", "by dict.", "run", "together", "a row", "scikit-learn", "times")
    print(f"\n{name}\n{'rows':>6}" + "".join(f"{head:>13}" for head in heads))
    for size in SIZES:
        batches = list(itertools.islice(parts(rows, size), 200))
        matrices = [plan.codes.matrix(batch) for batch in batches]
        codes = cost(plan.codes.matrix, batches)
        dictionaries = cost(plan.codes.matrix, [with_dictionaries(batch) for batch in batches])
        run = cost(lambda matrix: session.run(None, {"matrix": matrix}), matrices)
        together, pipelines = cost(scorer.score, batches), cost(whole.score, batches)
        costs = (codes, dictionaries, run, together, together / size, pipelines, pipelines / together)
        print(f"{size:>6,}" + "".join(f"{figure:>13,.1f}" for figure in costs))


def without_frames(name: str, pipeline: Pipeline, rows: Batch) -> None:
    """scikit-learn's own steps on arrays, beside scikit-learn with frames."""
    whole = PipelineScorer(pipeline, COLUMNS, "classification")
    arrays = arrays_of(read_pipeline(dump_pipeline(pipeline, name), name), COLUMNS, "classification")
    assert arrays is not None
    print(f"\n{name}\n{'rows':>6}{'without frames':>16}{'scikit-learn':>14}{'times':>7}")
    for size in SIZES:
        batches = list(itertools.islice(parts(rows, size), 200))
        own, pipelines = cost(arrays.score, batches), cost(whole.score, batches)
        print(f"{size:>6,}{own:>16.1f}{pipelines:>14.1f}{pipelines / own:>7.0f}")


def parts(rows: Batch, size: int) -> Iterator[Batch]:
    """The rows in batches of a size, one after the other."""
    for start in range(0, rows.rows - size + 1, size):
        yield Batch(
            size,
            {name: np.ascontiguousarray(values[start : start + size]) for name, values in rows.numbers.items()},
            {name: values[start : start + size] for name, values in rows.categories.items()},
        )


def with_dictionaries(rows: Batch) -> Batch:
    """The same rows, their categories as Arrow sends them."""
    encoded = {}
    for name, values in rows.categories.items():
        codes, distinct = pd.factorize(np.array(values, dtype=object))
        encoded[name] = EncodedCategories(codes.astype(np.int32), list(distinct))
    return Batch(rows.rows, rows.numbers, encoded)


def cost(call: Callable[[Any], object], inputs: Sequence[Any]) -> float:
    """CPU microseconds a call: the best of several rounds, so that busy neighbours do not count."""
    every, best = itertools.cycle(inputs), float("inf")
    for _ in range(3):
        call(next(every))
    for _ in range(ROUNDS):
        calls, started = 0, time.process_time()
        while calls < 3 or time.process_time() - started < ROUND_SECONDS:
            for _ in range(3):
                call(next(every))
            calls += 3
        best = min(best, (time.process_time() - started) / calls)
    return best * 1e6


if __name__ == "__main__":
    main()
