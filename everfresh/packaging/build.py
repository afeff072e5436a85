"""Making the content of a bundle: store the pipeline, compile it, prove the two equal, keep the golden rows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits

from everfresh.data.frames import model_frame
from everfresh.errors import AnswerDiffers, ClassesDiffer, NoAnswer, NoGoldenRows
from everfresh.packaging.batch import batch_of
from everfresh.packaging.compile.plan import CompiledPlan, compile_pipeline
from everfresh.packaging.golden import GOLDEN, MOST_ROWS, GoldenRows
from everfresh.packaging.manifest import ModelFacts, ScoringPath
from everfresh.packaging.parity import TOLERANCE, Parity, evenly, parity_of, parity_rows
from everfresh.packaging.pipelines import STORED, dump_pipeline, pipeline_answer, read_pipeline
from everfresh.packaging.scorer import CODES, PLAN, OnnxScorer, PipelineScorer

LIBRARIES = ("numpy", "onnx", "onnxruntime", "pandas", "scikit-learn", "skops")


@dataclass(frozen=True)
class Built:
    """The files of a bundle, how and why it is scored so, and by which libraries it was made."""

    files: Mapping[str, bytes]
    path: ScoringPath
    path_reason: str
    libraries: Mapping[str, str] = field(default_factory=lambda: {name: version(name) for name in LIBRARIES})


def build(pipeline: Pipeline, facts: ModelFacts, rows: pd.DataFrame) -> Built:
    """The files of a bundle but the profile; see `everfresh.packaging.writing.write_bundle`.

    Raises:
        NoGoldenRows: there is no row that a server would accept.
        NoAnswer: the pipeline answers a real row with NaN or an infinity.
        ClassesDiffer: the pipeline answers for other classes, or in another order, than `facts` says.
        TypesRefused: the pipeline could not be loaded again.
        AnswerDiffers: the stored pipeline does not answer as the fitted one.
    """
    if rows.empty:
        raise NoGoldenRows(facts.name)
    if facts.task == "classification" and tuple(pipeline.classes_) != facts.classes:
        raise ClassesDiffer(facts.name, facts.classes, [str(label) for label in pipeline.classes_])
    # A few thousand rows are answered at once by one thread, and on busy cores several times slower by many.
    with threadpool_limits(1, user_api="openmp"):
        return _built(pipeline, facts, rows)


def _built(pipeline: Pipeline, facts: ModelFacts, rows: pd.DataFrame) -> Built:
    frame = model_frame(rows, facts.columns)
    stored = dump_pipeline(pipeline, facts.name)
    golden = _golden(pipeline, frame, facts)
    _check_stored(stored, golden, facts)
    files = {STORED: stored, GOLDEN: json.dumps(golden.to_json()).encode()}

    plan = compile_pipeline(pipeline, facts.columns, facts.task)
    if not isinstance(plan, CompiledPlan):
        return Built(files, "sklearn", f"scikit-learn, because {plan.reason}")
    parity = _measured(plan, pipeline, frame, facts)
    if isinstance(parity, str):
        return Built(files, "sklearn", f"scikit-learn, because {parity}")
    if not parity.holds:
        return Built(files, "sklearn", f"scikit-learn, because the compiled plan differs: {parity}")
    files |= {PLAN: plan.model, CODES: json.dumps(plan.codes.to_json()).encode()}
    return Built(files, "onnx", f"ONNX Runtime, {parity}")


def _golden(pipeline: Pipeline, frame: pd.DataFrame, facts: ModelFacts) -> GoldenRows:
    # Servers are sent these rows, too, and refuse one that lacks what may not be missing.
    complete = frame[[column.name for column in facts.columns if not column.nullable]].notna().all(axis=1)
    sendable = frame[complete]
    if sendable.empty:
        raise NoGoldenRows(facts.name)
    chosen = sendable.iloc[evenly(len(sendable), MOST_ROWS)]
    answer = pipeline_answer(pipeline, chosen, facts.task)
    without = int((~np.isfinite(answer.reshape(len(chosen), -1)).all(axis=1)).sum())
    if without:
        raise NoAnswer(facts.name, without, len(chosen))
    return GoldenRows(batch_of(chosen, facts.columns), answer)


def _check_stored(stored: bytes, golden: GoldenRows, facts: ModelFacts) -> None:
    loaded = PipelineScorer(read_pipeline(stored, facts.name), facts.columns, facts.task)
    difference = golden.difference(loaded.score(golden.batch))
    if difference > TOLERANCE:
        raise AnswerDiffers(facts.name, None, difference, TOLERANCE)


def _measured(plan: CompiledPlan, pipeline: Pipeline, frame: pd.DataFrame, facts: ModelFacts) -> Parity | str:
    """The parity of a plan, or why it cannot be measured."""
    rows = parity_rows(frame, facts.columns, plan.hard_rows)
    try:
        with np.errstate(all="ignore"):  # an extreme row may well overflow, and then it must do so in both
            expected = pipeline_answer(pipeline, rows, facts.task)
    except ValueError as error:  # some estimators refuse the awkward rows altogether
        return f"the fitted pipeline refuses awkward rows ({_first_line(error)})"
    try:
        answer = OnnxScorer(plan.model, plan.codes, facts.task).score(batch_of(rows, facts.columns))
    except Exception as error:  # ONNX Runtime's own errors have no class in common
        return f"ONNX Runtime refuses the compiled plan ({_first_line(error)})"
    return parity_of(expected, answer, facts.task)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
