"""Watching a champion in production: from the inference log to a report, and from there to the retrain decision."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd

from everfresh.data.columns import Column
from everfresh.data.inference_log import FEATURE_PREFIX, LabelledLog, read_labels, read_log, with_labels
from everfresh.data.schema_check import check_schema
from everfresh.data.windows import Window
from everfresh.errors import NoChampion
from everfresh.evaluation.metrics import score
from everfresh.loop.workspace import Workspace
from everfresh.monitoring.drift import FEWEST_ROWS, measure_drift
from everfresh.monitoring.events import ModelEvent, events_of, is_stale
from everfresh.monitoring.performance import PerformanceReport, matured_rows, measure_performance
from everfresh.monitoring.profile import Profile, count_log
from everfresh.monitoring.report import MonitoringReport
from everfresh.monitoring.retraining import RetrainDecision, RetrainFacts, decide_retrain
from everfresh.monitoring.schedule import checks_per_year, level_per_check
from everfresh.packaging.bundle import Bundle
from everfresh.registry.versions import ModelVersion

LATEST = "monitoring.json"
OLDEST_EVENT = timedelta(days=1)

_INSTANT = timedelta(microseconds=1)  # a window's end does not belong to it
_EVER = datetime(1, 1, 1, tzinfo=UTC)


def inference_root(workspace: Workspace) -> Path:
    """Where the log of the watched target lies: the first one of the spec."""
    return workspace.targets[0].inference_root


def check(workspace: Workspace, champion: ModelVersion, as_of: datetime) -> MonitoringReport:
    """What is true of the champion's production at `as_of`: data quality, drift, performance on matured labels."""
    spec, bundle = workspace.spec, workspace.bundle(champion)
    policy = spec.monitoring
    window = Window.last(policy.current.days, as_of)
    # Labels are late: what they judge began earlier than the window, and both are read at once.
    served = _served_rows(workspace, bundle, champion, Window(window.start - spec.data.label_delay, as_of))
    current = served[served["time"] >= pd.Timestamp(window.start)]
    checks = checks_per_year(policy.schedule)
    profile = _watched(Profile.from_json(bundle.profile), workspace.spec.inference_log.redact)
    counts = count_log(profile, current, version=champion.version)
    return MonitoringReport(
        project=workspace.name,
        version=champion.version,
        as_of=as_of,
        window=window,
        drift=measure_drift(profile, counts, policy.drift, checks_per_year=checks, window=window),
        performance=_performance(workspace, champion, bundle, served, as_of),
        quality=_quality(bundle, current, workspace.spec.inference_log.redact),
    )


def write_latest(workspace: Workspace, report: MonitoringReport) -> Path:
    """Keep the report where `everfresh status` finds it; the file."""
    file = workspace.settings.reports / workspace.name / LATEST
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_suffix(".tmp")
    temporary.write_text(json.dumps(report.to_json(), indent=2), encoding="utf-8")
    temporary.replace(file)
    return file


def decide(
    workspace: Workspace,
    as_of: datetime,
    *,
    trigger: str,
    forced_by: str = "",
    occurred: datetime | None = None,
    now: datetime,
) -> RetrainDecision:
    """Whether to retrain at `as_of`, by the policy of the spec and by what production looks like at that moment.

    Args:
        workspace: the project.
        as_of: the moment, in the time of the data.
        trigger: what asks: `hand`, `event` or `schedule`.
        forced_by: who wants it whatever the policy says; nobody if empty.
        occurred: when the event happened that asks.
        now: by the clock on the wall, for the age of that event.
    """
    if occurred is not None and is_stale(occurred, now, OLDEST_EVENT):
        return RetrainDecision(False, f"The event of {occurred:%Y-%m-%d %H:%M} is too old to act on.")
    champion = workspace.registry.champion(workspace.name)
    if champion is None and not forced_by:
        return RetrainDecision(False, str(NoChampion(workspace.name)))
    report = check(workspace, champion, as_of) if champion is not None and not forced_by else None
    facts = replace(
        gather_facts(workspace, champion, report, as_of),
        forced_by=forced_by or None,
        due_by_schedule=trigger == "schedule",
    )
    return decide_retrain(workspace.spec.retraining, facts, as_of)


def events(workspace: Workspace, report: MonitoringReport) -> tuple[ModelEvent, ...]:
    """What others should be told of a check."""
    champion = workspace.registry.champion(workspace.name)
    decision = decide_retrain(
        workspace.spec.retraining, gather_facts(workspace, champion, report, report.as_of), report.as_of
    )
    return events_of(report, decision, workspace.settings.mode)


def gather_facts(
    workspace: Workspace, champion: ModelVersion | None, report: MonitoringReport | None, as_of: datetime
) -> RetrainFacts:
    """All that the retrain decision looks at, but for who asks."""
    metric = workspace.spec.primary_metric
    performance = next((each for each in report.performance if each.metric == metric), None) if report else None
    return RetrainFacts(
        drift=report.drift if report else None,
        performance=performance,
        champion_trained_through=champion.trained_through if champion else None,
        last_retrain_at=_last_retrain(workspace, as_of),
        labels_since=_labels_since(workspace, champion, as_of),
    )


def served_with_labels(workspace: Workspace, *, window: Window, version: int | None = None) -> LabelledLog:
    """The served rows of a stretch of time beside their labels."""
    root, name = inference_root(workspace), workspace.name
    log = read_log(root, name, window=window, version=version)
    return with_labels(log, read_labels(root, name), all_ids=log["id"])


def _served_rows(workspace: Workspace, bundle: Bundle, champion: ModelVersion, window: Window) -> pd.DataFrame:
    """What was asked in that time; of the champion's own rows alone where another version read a column otherwise.

    A column that is a category to one version and a number to the next is text in a log of both, and neither the one
    nor the other for a profile.
    """
    log = read_log(inference_root(workspace), workspace.name, window=window)
    columns = _unredacted(bundle.manifest.columns, workspace.spec.inference_log.redact)
    numbers = [f"{FEATURE_PREFIX}{column.name}" for column in columns if not column.is_category]
    clashing = [name for name in numbers if name in log and not pd.api.types.is_numeric_dtype(log[name])]
    if not clashing:
        return log
    own = log[log["version"] == champion.version]
    return own.assign(**{name: pd.to_numeric(own[name], errors="coerce") for name in clashing})


def _watched(profile: Profile, redacted: Collection[str]) -> Profile:
    """The profile without features that the log does not show: a hash is no category, and nothing is not missing."""
    seen = tuple(column for column in profile.columns if column.role != "feature" or column.name not in redacted)
    return replace(profile, columns=seen)


def _unredacted(columns: Sequence[Column], redacted: Collection[str]) -> list[Column]:
    return [column for column in columns if column.name not in redacted]


def _performance(
    workspace: Workspace, champion: ModelVersion, bundle: Bundle, served: pd.DataFrame, as_of: datetime
) -> tuple[PerformanceReport, ...]:
    """The primary metric on the champion's rows that are as old as their labels need."""
    spec, metric = workspace.spec, workspace.spec.primary_metric
    own = served[served["version"] == champion.version]
    if own.empty:
        return ()
    labels = read_labels(inference_root(workspace), workspace.name)
    labelled = with_labels(own, labels[_among(labels["id"], own["id"])])
    rows = matured_rows(labelled.frame, bundle.manifest.classes, label_delay=spec.data.label_delay, as_of=as_of)
    report = measure_performance(
        rows,
        metric,
        score,
        reference_score=champion.holdout_scores.get(metric),
        worth_a_drop=spec.retraining.when.metric_drop,
        level=level_per_check(spec.monitoring.drift.false_alarms, checks_per_year(spec.monitoring.schedule)),
        seed=spec.training.seed,
    )
    return (report,)


def _quality(bundle: Bundle, log: pd.DataFrame, redacted: Collection[str]) -> tuple[str, ...]:
    """What the schema forbids in the served rows, one sentence each."""
    if len(log) < FEWEST_ROWS:
        return ()
    features = log[[name for name in log.columns if name.startswith(FEATURE_PREFIX)]]
    frame = features.rename(columns=lambda name: name.removeprefix(FEATURE_PREFIX))
    return tuple(str(violation) for violation in check_schema(frame, _unredacted(bundle.manifest.columns, redacted)))


def _last_retrain(workspace: Workspace, as_of: datetime) -> datetime | None:
    """When the last version was trained before `as_of`, whatever became of it.

    A version has two times: that of its data, which counts where history is looked at, and that of the clock, which
    counts where a table lags behind: else its versions would always look old, and no cooldown would ever hold.
    """
    versions = workspace.registry.versions(workspace.name)
    moments = [moment for version in versions for moment in (version.as_of, version.created_at) if moment is not None]
    return max((moment for moment in moments if moment <= as_of), default=None)


def _labels_since(workspace: Workspace, champion: ModelVersion | None, as_of: datetime) -> int:
    """How many rows later than those that the champion learned from have their label by now."""
    root, name = inference_root(workspace), workspace.name
    labels = read_labels(root, name)
    if labels.empty:
        return 0
    since = champion.trained_through if champion else None
    window = Window(since + _INSTANT if since else _EVER, as_of + _INSTANT)
    ids = read_log(root, name, columns=["id"], window=window)["id"]
    return int(_among(ids.drop_duplicates(), labels.loc[labels["label"].notna(), "id"]).sum())


def _among(ids: pd.Series, others: pd.Series) -> pd.Series:
    """Which of the ids are among the others. As objects: a set of hundreds of thousands of texts is slow otherwise."""
    return ids.astype(object).isin(others.astype(object))
