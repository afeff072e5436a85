"""Making the content of a bundle: store the pipeline, compile it, prove the two equal, keep the golden rows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd
from sklearn.pipeline import Pipeline

from everfresh.data.frames import model_frame
from everfresh.errors import AnswerDiffers, ClassesDiffer, NoGoldenRows
from everfresh.packaging.batch import batch_of
from everfresh.packaging.compile.plan import CompiledPlan, compile_pipeline
from everfresh.packaging.golden import GOLDEN, MOST_ROWS, GoldenRows
from everfresh.packaging.manifest import ModelFacts, ScoringPath
from everfresh.packaging.parity import TOLERANCE, Parity, evenly, measure_parity, parity_rows
from everfresh.packaging.pipelines import STORED, dump_pipeline, pipeline_answer, read_pipeline
from everfresh.packaging.scorer import CODES, PLAN, OnnxScorer, PipelineScorer


@dataclass(frozen=True)
class Built:
    """The files of a bundle, and how and why it is scored so."""

    files: Mapping[str, bytes]
    path: ScoringPath
    path_reason: str


def build(pipeline: Pipeline, facts: ModelFacts, rows: pd.DataFrame) -> Built:
    """The files of a bundle but the profile; see `everfresh.packaging.bundle.write_bundle`.

    Raises:
        NoGoldenRows: there is no row to measure on.
        ClassesDiffer: the pipeline answers for other classes, or in another order, than `facts` says.
        TypesRefused: the pipeline could not be loaded again.
        AnswerDiffers: the stored pipeline does not answer as the fitted one.
    """
    if rows.empty:
        raise NoGoldenRows(facts.name)
    if facts.task == "classification" and tuple(pipeline.classes_) != facts.classes:
        raise ClassesDiffer(facts.name, facts.classes, [str(label) for label in pipeline.classes_])
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
    chosen = frame.iloc[evenly(len(frame), MOST_ROWS)]
    return GoldenRows(batch_of(chosen, facts.columns), pipeline_answer(pipeline, chosen, facts.task))


def _check_stored(stored: bytes, golden: GoldenRows, facts: ModelFacts) -> None:
    loaded = PipelineScorer(read_pipeline(stored, facts.name), facts.columns, facts.task)
    difference = golden.difference(loaded.score(golden.batch))
    if difference > TOLERANCE:
        raise AnswerDiffers(facts.name, None, difference, TOLERANCE)


def _measured(plan: CompiledPlan, pipeline: Pipeline, frame: pd.DataFrame, facts: ModelFacts) -> Parity | str:
    """The parity of a plan, or why it cannot be measured: some estimators refuse the awkward rows altogether."""
    rows = parity_rows(frame, facts.columns, plan.thresholds)
    try:
        return measure_parity(OnnxScorer(plan.model, plan.codes, facts.task), pipeline, rows, facts.columns, facts.task)
    except ValueError as error:
        return f"the fitted pipeline refuses awkward rows ({str(error).splitlines()[0]})"
