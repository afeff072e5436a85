"""From trials to a registered version: the last fit, the bundle, the MLflow run, the model card."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import numpy as np

from everfresh.evaluation.baseline import Baseline, class_prior, mean_value
from everfresh.evaluation.metrics import Answer, Labels, score
from everfresh.loop.rows import LearningRows
from everfresh.loop.workspace import Workspace
from everfresh.monitoring.profile import Answers, build_profile
from everfresh.packaging.manifest import Manifest, ModelFacts
from everfresh.packaging.pipelines import REVIEWED_TYPES
from everfresh.packaging.writing import write_bundle
from everfresh.registry.card import CardFacts, model_card
from everfresh.registry.lineage import Lineage, code_revision
from everfresh.registry.runs import (
    RunRecord,
    TrialRecord,
    log_files,
    log_model,
    log_scores,
    log_trials,
    training_run,
)
from everfresh.registry.versions import ModelVersion
from everfresh.spec.metrics import TASK_METRICS, Metric, Task
from everfresh.training.estimators import ImportRules
from everfresh.training.examples import Examples
from everfresh.training.fitting import Fitted, fit
from everfresh.training.selection import Choice, choose
from everfresh.training.trials import Trial

INPUT_EXAMPLE_ROWS = 5


def import_rules(workspace: Workspace) -> ImportRules:
    """Which estimators the project's spec may name."""
    return ImportRules(directory=workspace.project.directory, allowed=workspace.settings.allowed_imports)


def lineage_of(workspace: Workspace, rows: LearningRows) -> Lineage:
    """What a version made from these rows is made from."""
    champion = workspace.registry.champion(workspace.name)
    times = rows.learning_times
    return Lineage(
        spec_hash=workspace.spec.hash,
        data_fingerprint=rows.fingerprint,
        code_revision=code_revision(workspace.settings.root),
        parent_version=champion.version if champion else None,
        rows=len(rows.train) + len(rows.validation),
        trained_from=None if times is None else _utc(times.min()),
        trained_through=None if times is None else _utc(times.max()),
    )


def make_challenger(workspace: Workspace, rows: LearningRows, trials: Sequence[Trial]) -> ModelVersion:
    """The best of the trials, fitted on all rows but the holdout, packed and registered; no alias is set yet.

    Raises:
        TrainingError: no trial succeeded, or the chosen one cannot be fitted again.
        BundleError: the fitted pipeline cannot be stored.
    """
    spec, lineage = workspace.spec, lineage_of(workspace, rows)
    params = {"candidates": ", ".join(candidate.name for candidate in spec.candidates), "rows": lineage.rows}
    tags = {"everfresh.key": lineage.key, "everfresh.mode": workspace.settings.mode}
    record = RunRecord(workspace.name, f"{workspace.name} {lineage.key[:6]}", params, tags)
    with training_run(workspace.registry.client, workspace.settings.artifacts, record) as run_id:
        log_trials(workspace.registry.client, run_id, [_record(trial) for trial in trials])
        choice = choose(trials, spec.primary_metric)
        learning = rows.learning
        fitted = _fit(workspace, choice, rows, learning)
        manifest, scores = _log(workspace, run_id, rows, learning, choice, fitted, lineage)
    return workspace.registry.register(
        workspace.name,
        run_id,
        lineage,
        bundle_digest=manifest.digest,
        description=f"{choice.reason}. {manifest.path_reason}",
        tags=_version_tags(workspace, rows, manifest, scores),
    )


def baseline_of(labels: Labels, classes: Sequence[str], task: Task) -> Baseline:
    """The dummy to beat, from the labels of the rows that the model was fitted on."""
    return class_prior(labels, classes) if task == "classification" else mean_value(labels)


def scores_of(task: Task, labels: Labels, answer: Answer, classes: Sequence[str]) -> dict[Metric, float]:
    """Every metric of the task that these rows can tell."""
    scores = {metric: score(metric, labels, answer, classes) for metric in TASK_METRICS[task]}
    return {metric: value for metric, value in scores.items() if np.isfinite(value)}


def _fit(workspace: Workspace, choice: Choice, rows: LearningRows, learning: Examples) -> Fitted:
    spec = workspace.spec
    candidate = next(candidate for candidate in spec.candidates if candidate.name == choice.trial.candidate)
    return fit(
        choice.trial,
        candidate,
        rows.columns,
        learning,
        task=spec.task,
        seed=spec.training.seed,
        rules=import_rules(workspace),
    )


def _log(
    workspace: Workspace,
    run_id: str,
    rows: LearningRows,
    learning: Examples,
    choice: Choice,
    fitted: Fitted,
    lineage: Lineage,
) -> tuple[Manifest, dict[Metric, float]]:
    """Everything about the fitted pipeline that the run keeps; the bundle's manifest and the holdout's scores."""
    client, task = workspace.registry.client, workspace.spec.task
    answer = fitted.answer(rows.holdout.rows)
    scores = scores_of(task, rows.holdout.labels, answer, fitted.classes)
    dummy = baseline_of(learning.labels, fitted.classes, task).answer(len(rows.holdout))
    baseline = scores_of(task, rows.holdout.labels, dummy, fitted.classes)
    profile = build_profile(
        learning.rows,
        fitted.columns,
        times=rows.learning_times,
        answers=Answers(answer, fitted.classes, rows.holdout_times),
        label=learning.labels if task == "regression" else None,
    )
    directory = workspace.settings.home / "bundles" / ".made" / run_id
    try:
        facts = _facts(workspace, fitted, lineage)
        manifest = write_bundle(directory, fitted.pipeline, facts, rows=rows.holdout.rows, profile=profile.to_json())
        log_scores(client, run_id, scores, prefix="holdout.")
        log_scores(client, run_id, baseline, prefix="baseline.")
        example = rows.holdout.rows.head(INPUT_EXAMPLE_ROWS)
        log_model(run_id, fitted.pipeline, example, fitted.pipeline.predict(example), trusted=REVIEWED_TYPES)
        card = model_card(_card(workspace, rows, choice, fitted, manifest, scores, baseline), lineage)
        log_files(client, run_id, directory, {"model_card.md": card})
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    return manifest, scores


def _facts(workspace: Workspace, fitted: Fitted, lineage: Lineage) -> ModelFacts:
    data = workspace.spec.data
    return ModelFacts(
        name=workspace.name,
        task=workspace.spec.task,
        classes=fitted.classes,
        columns=fitted.columns,
        label=data.label,
        id_column=data.id_column,
        time_column=data.time_column,
        created_at=datetime.now(UTC),
        trained_through=lineage.trained_through,
        metadata={
            "spec_hash": lineage.spec_hash,
            "data_fingerprint": lineage.data_fingerprint,
            "code_revision": lineage.code_revision,
            "candidate": fitted.candidate,
        },
    )


def _card(
    workspace: Workspace,
    rows: LearningRows,
    choice: Choice,
    fitted: Fitted,
    manifest: Manifest,
    scores: Mapping[Metric, float],
    baseline: Mapping[Metric, float],
) -> CardFacts:
    return CardFacts(
        name=workspace.name,
        task=workspace.spec.task,
        label=workspace.spec.data.label,
        candidate=fitted.candidate,
        choice=f"{choice.reason}.",
        params=fitted.params,
        features=[column.name for column in fitted.columns],
        ignored=rows.ignored,
        scores=scores,
        baseline_scores=baseline,
        holdout_rows=len(rows.holdout),
        notes=[*rows.notes, *fitted.warnings],
        served_by=manifest.path_reason,
        made_at=manifest.created_at,
    )


def _version_tags(
    workspace: Workspace, rows: LearningRows, manifest: Manifest, scores: Mapping[Metric, float]
) -> dict[str, str]:
    # Labels that come in at once with a late table seem to be known in the future; no training was ever made for it.
    as_of = min(rows.as_of or manifest.created_at, manifest.created_at)
    return {
        "everfresh.mode": workspace.settings.mode,
        "everfresh.as_of": as_of.isoformat(),
        "everfresh.candidate": manifest.metadata["candidate"],
        "everfresh.path": manifest.path,
        "everfresh.holdout": json.dumps(scores),
    }


def _record(trial: Trial) -> TrialRecord:
    return TrialRecord(trial.candidate, trial.params, dict(trial.scores), trial.seconds, trial.error or None)


def _utc(moment: np.datetime64) -> datetime:
    naive: datetime = moment.astype("datetime64[us]").astype(datetime)
    return naive.replace(tzinfo=UTC)
