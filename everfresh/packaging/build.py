"""Making the content of a bundle: store the pipeline, compile it, prove the two equal, keep the golden rows."""

from __future__ import annotations

import dataclasses
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
from everfresh.packaging.arrays import ARRAYS, arrays_of
from everfresh.packaging.batch import batch_of
from everfresh.packaging.compile.plan import CompiledPlan, compile_pipeline
from everfresh.packaging.golden import GOLDEN, MOST_ROWS, GoldenRows
from everfresh.packaging.manifest import ModelFacts, ScoringPath
from everfresh.packaging.parity import REAL_ROWS, TOLERANCE, Parity, evenly, parity_of, parity_rows
from everfresh.packaging.pipelines import STORED, dump_pipeline, pipeline_answer, read_pipeline
from everfresh.packaging.scorer import CODES, PLAN, OnnxScorer, PipelineScorer, Scorer

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
    sendable = _sendable(frame, facts)
    golden = _golden(pipeline, sendable, facts)
    _check_stored(stored, golden, facts)
    files = {STORED: stored, GOLDEN: json.dumps(golden.to_json()).encode()}

    labels = _label_note(pipeline, sendable) if facts.task == "classification" else ""
    compiled = _compiled(pipeline, frame, facts)
    if isinstance(compiled, Proven):
        return Built({**files, **compiled.files}, "onnx", f"ONNX Runtime, {compiled.parity}{labels}")
    arrays = _without_frames(pipeline, stored, sendable, facts)
    if isinstance(arrays, Proven):
        how = f"scikit-learn without frames ({arrays.parity})"
        return Built({**files, **arrays.files}, "sklearn", f"{how}, because {compiled}{labels}")
    frames = "" if arrays == compiled else f", and with frames, because {arrays}"
    return Built(files, "sklearn", f"scikit-learn, because {compiled}{frames}{labels}")


@dataclass(frozen=True)
class Proven:
    """Files by which a bundle may be scored otherwise than by its pipeline as it is, and what was measured of that."""

    files: Mapping[str, bytes]
    parity: Parity


def _compiled(pipeline: Pipeline, frame: pd.DataFrame, facts: ModelFacts) -> Proven | str:
    """The exact plan, or why there is none."""
    plan = compile_pipeline(pipeline, facts.columns, facts.task)
    if not isinstance(plan, CompiledPlan):
        return plan.reason
    try:
        scorer = OnnxScorer(plan.model, plan.codes, facts.task)
    except Exception as error:  # ONNX Runtime's own errors have no class in common
        return f"ONNX Runtime refuses the compiled plan ({_first_line(error)})"
    parity = _measured(scorer, pipeline, parity_rows(frame, facts.columns, plan.hard_rows), facts)
    if isinstance(parity, str):
        return parity
    if not parity.holds:
        return f"the compiled plan differs: {parity}"
    return Proven({PLAN: plan.model, CODES: json.dumps(plan.codes.to_json()).encode()}, parity)


def _without_frames(pipeline: Pipeline, stored: bytes, frame: pd.DataFrame, facts: ModelFacts) -> Proven | str:
    """The stored pipeline as it answers arrays, or why it cannot."""
    try:
        arrays = arrays_of(read_pipeline(stored, facts.name), facts.columns, facts.task)
    except Exception as error:  # a configuration that nobody thought of; with frames it is right all the same
        return f"its steps cannot be called one by one ({_first_line(error)})"
    if arrays is None:
        return "its steps cannot be called one by one"
    parity = _measured(arrays, pipeline, parity_rows(frame, facts.columns), facts)
    if isinstance(parity, str):  # what refuses awkward rows refuses them as arrays, too: the same steps do it
        parity = _measured(arrays, pipeline, frame.iloc[evenly(len(frame), REAL_ROWS)], facts)
    if isinstance(parity, str):
        return parity
    if not parity.holds:
        return f"it answers arrays otherwise: {parity}"
    return Proven({ARRAYS: json.dumps(dataclasses.asdict(parity)).encode()}, parity)


def _label_note(pipeline: Pipeline, sendable: pd.DataFrame) -> str:
    """Where the pipeline would itself choose another label than the most probable one, which is what is served."""
    real = sendable.iloc[evenly(len(sendable), REAL_ROWS)]
    answer, chosen = pipeline_answer(pipeline, real, "classification"), pipeline.predict(real)
    places = np.searchsorted(pipeline.classes_, chosen)
    own = np.take_along_axis(answer, places[:, np.newaxis], axis=1)[:, 0]
    others = int((answer.max(axis=1) - own > TOLERANCE).sum())
    if not others:
        return ""
    return (
        f"; the label that is served is the most probable one, and the pipeline by itself would choose "
        f"another for {others:,} of {len(real):,} rows"
    )


def _sendable(frame: pd.DataFrame, facts: ModelFacts) -> pd.DataFrame:
    """The rows that a server accepts: it refuses one that lacks what may not be missing."""
    complete = frame[[column.name for column in facts.columns if not column.nullable]].notna().all(axis=1)
    if not complete.any():
        raise NoGoldenRows(facts.name)
    return frame[complete]


def _golden(pipeline: Pipeline, sendable: pd.DataFrame, facts: ModelFacts) -> GoldenRows:
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


def _measured(scorer: Scorer, pipeline: Pipeline, rows: pd.DataFrame, facts: ModelFacts) -> Parity | str:
    """The parity of a scorer, or why it cannot be measured."""
    try:
        with np.errstate(all="ignore"):  # an extreme row may well overflow, and then it must do so in both
            expected = pipeline_answer(pipeline, rows, facts.task)
    except ValueError as error:  # some estimators refuse the awkward rows altogether
        return f"the fitted pipeline refuses awkward rows ({_first_line(error)})"
    try:
        with np.errstate(all="ignore"):
            answer = scorer.score(batch_of(rows, facts.columns))
    except Exception as error:  # ONNX Runtime's own errors have no class in common
        return f"it cannot be scored otherwise ({_first_line(error)})"
    return parity_of(expected, answer, facts.task)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
