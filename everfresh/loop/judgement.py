"""Judging a registered version: the evidence is measured on its bundle, the gates are asked, the verdict is kept."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime

import pandas as pd

from everfresh.data.frames import model_frame
from everfresh.errors import EverfreshError, UnreadableVerdict
from everfresh.evaluation.evidence import Champion, Evidence, Servable, align_answer
from everfresh.evaluation.gates import judge as ask_gates
from everfresh.evaluation.metrics import Answer
from everfresh.evaluation.verdict import Override, Verdict, override
from everfresh.loop.challenger import baseline_of
from everfresh.loop.rows import LearningRows
from everfresh.loop.servable import try_serving
from everfresh.loop.workspace import Workspace
from everfresh.packaging.batch import batch_of
from everfresh.packaging.bundle import Bundle
from everfresh.packaging.golden import largest_difference
from everfresh.packaging.parity import evenly
from everfresh.packaging.pipelines import load_pipeline, pipeline_answer
from everfresh.packaging.scorer import open_scorer
from everfresh.registry.runs import log_texts
from everfresh.registry.versions import CHAMPION, ModelVersion
from everfresh.spec.promotion import ParityGate, ServableGate

SERVED_ROWS = 300
VERDICT = "verdict.json"


def judge(workspace: Workspace, rows: LearningRows, version: ModelVersion) -> Verdict:
    """The verdict on a version, by the gates of its spec; nothing is changed by asking."""
    evidence = gather_evidence(workspace, rows, version)
    return ask_gates(workspace.spec.gates, evidence, seed=workspace.spec.training.seed)


def record(workspace: Workspace, version: ModelVersion, verdict: Verdict) -> ModelVersion:
    """Keep the verdict with the version and its run; a version that may serve becomes the challenger, last of all.

    A version that was let into production keeps the verdict that let it in: judged again, it may well fail against a
    champion that came after it, and must be there to be rolled back to all the same.
    """
    if version.promoted_at is not None and not verdict.passed:
        workspace.registry.dismiss_challenger(version, verdict.reason)
        return version
    texts = {VERDICT: json.dumps(verdict.to_json(), indent=2), "verdict.md": verdict.to_markdown()}
    log_texts(workspace.registry.client, version.run_id, texts)
    until = verdict.overridden.until if verdict.overridden else None
    judged = workspace.registry.record_verdict(version, verdict.status, verdict.reason, override_until=until)
    if not verdict.passed:
        workspace.registry.dismiss_challenger(judged, verdict.reason)
        return judged
    # The champion itself may be judged again; it does not wait for anything.
    is_champion = CHAMPION in judged.aliases
    return judged if is_champion else workspace.registry.mark_challenger(judged)


def override_verdict(workspace: Workspace, version: ModelVersion, decision: Override, now: datetime) -> ModelVersion:
    """Let a person's decision count: the version may serve until then, though its gates said no.

    Raises:
        UnreadableVerdict: the version was never judged.
    """
    text = workspace.registry.read_text(version, VERDICT)
    if text is None:
        raise UnreadableVerdict(f"{version} was never judged")
    verdict = override(Verdict.from_json(json.loads(text)), decision, now)
    return record(workspace, version, verdict)


def gather_evidence(workspace: Workspace, rows: LearningRows, version: ModelVersion) -> Evidence:
    """What the gates look at, measured on the holdout; only what a gate asks for is measured at some cost."""
    spec, bundle = workspace.spec, workspace.bundle(version)
    manifest, frame = bundle.manifest, rows.holdout.rows
    answer = _answer(bundle, rows.holdout_table)
    incumbent = workspace.registry.champion(workspace.name)
    if incumbent is not None and incumbent.version == version.version:
        incumbent = None
    champion_answer, why_not, champion_classes = _champion_answer(workspace, incumbent, rows.holdout_table)
    classes = tuple(sorted({*manifest.classes, *champion_classes}))
    champion = None
    if incumbent is not None:
        compared = None if champion_answer is None else _aligned(champion_answer, champion_classes, classes)
        champion = Champion(incumbent.version, compared, why_not)
    kinds = {type(gate) for gate in spec.gates}
    return Evidence(
        task=spec.task,
        classes=classes,
        y=rows.holdout.labels,
        challenger=_aligned(answer, manifest.classes, classes),
        baseline=_aligned(_baseline(rows, bundle), manifest.classes, classes),
        champion=champion,
        slices=rows.holdout_table,
        times=rows.holdout_times,
        parity=_parity(bundle, frame, answer) if ParityGate in kinds else None,
        servable=_servable(bundle, frame, answer) if ServableGate in kinds else None,
    )


def _answer(bundle: Bundle, table: pd.DataFrame) -> Answer:
    """What a served bundle answers to rows of the project's table."""
    columns = bundle.manifest.columns
    return open_scorer(bundle).score(batch_of(model_frame(table, columns), columns))


def _champion_answer(
    workspace: Workspace, champion: ModelVersion | None, table: pd.DataFrame
) -> tuple[Answer | None, str, tuple[str, ...]]:
    """The champion's answer, or why it has none, and its classes."""
    if champion is None:
        return None, "", ()
    try:
        bundle = workspace.bundle(champion)
        return _answer(bundle, table), "", bundle.manifest.classes
    except EverfreshError as error:
        if error.may_heal:  # MLflow is away for a moment, which says nothing about the champion
            raise
        return None, str(error).rstrip("."), ()


def _baseline(rows: LearningRows, bundle: Bundle) -> Answer:
    manifest = bundle.manifest
    return baseline_of(rows.learning.labels, manifest.classes, manifest.task).answer(len(rows.holdout))


def _aligned(answer: Answer, classes: Sequence[str], wanted: Sequence[str]) -> Answer:
    return align_answer(answer, classes, wanted) if wanted else answer


def _parity(bundle: Bundle, frame: pd.DataFrame, answer: Answer) -> float:
    """The largest difference between what is served and what the stored pipeline answers."""
    return largest_difference(pipeline_answer(load_pipeline(bundle), frame, bundle.manifest.task), answer)


def _servable(bundle: Bundle, frame: pd.DataFrame, answer: Answer) -> Servable:
    chosen = evenly(len(frame), SERVED_ROWS)
    return try_serving(bundle, frame.iloc[chosen], answer[chosen])
