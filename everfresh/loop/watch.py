"""Watching a champion in production: from the inference log to a report, and from there to the retrain decision."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from everfresh.data.inference_log import FEATURE_PREFIX, LabelledLog, read_labels, read_log, with_labels
from everfresh.data.schema_check import check_schema
from everfresh.data.windows import Window
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


def inference_root(workspace: Workspace) -> Path:
    """Where the log of the watched target lies: the first one of the spec."""
    return workspace.targets[0].inference_root


def check(workspace: Workspace, champion: ModelVersion, as_of: datetime) -> MonitoringReport:
    """What is true of the champion's production at `as_of`: data quality, drift, performance on matured labels."""
    spec, bundle = workspace.spec, workspace.bundle(champion)
    policy = spec.monitoring
    window = Window.last(policy.current.days, as_of)
    log = read_log(inference_root(workspace), workspace.name, window=window)
    checks = checks_per_year(policy.schedule)
    profile = Profile.from_json(bundle.profile)
    counts = count_log(profile, log, version=champion.version)
    return MonitoringReport(
        project=workspace.name,
        version=champion.version,
        as_of=as_of,
        window=window,
        drift=measure_drift(profile, counts, policy.drift, checks_per_year=checks, window=window),
        performance=_performance(workspace, champion, bundle, as_of, checks),
        quality=_quality(bundle, log),
    )


def write_latest(workspace: Workspace, report: MonitoringReport) -> Path:
    """Keep the report where `everfresh status` finds it; the file."""
    file = workspace.settings.root / "reports" / workspace.name / LATEST
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
        last_retrain_at=_last_retrain(workspace, champion, as_of),
        labels_since=_labels_since(workspace, champion, as_of),
    )


def served_with_labels(workspace: Workspace, *, window: Window, version: int | None = None) -> LabelledLog:
    """The served rows of a stretch of time beside their labels."""
    root, name = inference_root(workspace), workspace.name
    log = read_log(root, name, window=window, version=version)
    return with_labels(log, read_labels(root, name), all_ids=log["id"])


def _performance(
    workspace: Workspace, champion: ModelVersion, bundle: Bundle, as_of: datetime, checks: int
) -> tuple[PerformanceReport, ...]:
    """The primary metric on rows as old as their labels need, of as many days as the window has."""
    spec, metric = workspace.spec, workspace.spec.primary_metric
    delay = spec.data.label_delay
    window = Window(as_of - delay - timedelta(days=spec.monitoring.current.days), as_of)
    served = served_with_labels(workspace, window=window, version=champion.version).frame
    if "time" not in served or served.empty:
        return ()
    rows = matured_rows(served, bundle.manifest.classes, label_delay=delay, as_of=as_of)
    report = measure_performance(
        rows,
        metric,
        score,
        reference_score=champion.holdout_scores.get(metric),
        worth_a_drop=spec.retraining.when.metric_drop,
        level=level_per_check(spec.monitoring.drift.false_alarms, checks),
        seed=spec.training.seed,
    )
    return (report,)


def _quality(bundle: Bundle, log: pd.DataFrame) -> tuple[str, ...]:
    """What the schema forbids in the served rows, one sentence each."""
    if len(log) < FEWEST_ROWS:
        return ()
    features = log[[name for name in log.columns if name.startswith(FEATURE_PREFIX)]]
    frame = features.rename(columns=lambda name: name.removeprefix(FEATURE_PREFIX))
    return tuple(str(violation) for violation in check_schema(frame, bundle.manifest.columns))


def _last_retrain(workspace: Workspace, champion: ModelVersion | None, as_of: datetime) -> datetime | None:
    """When the newest version after the champion was made, whatever became of it, or the champion itself."""
    moments = [version.as_of for version in workspace.registry.versions(workspace.name)]
    return max((moment for moment in moments if moment is not None and moment < as_of), default=None)


def _labels_since(workspace: Workspace, champion: ModelVersion | None, as_of: datetime) -> int:
    """Labels that came back for rows later than those that the champion learned from."""
    root, name = inference_root(workspace), workspace.name
    labels = read_labels(root, name)
    if labels.empty:
        return 0
    served = read_log(root, name, columns=["id", "time"])
    since = champion.trained_through if champion else None
    late = served["time"] <= as_of if since is None else (served["time"] > since) & (served["time"] <= as_of)
    return int(np.isin(served.loc[late, "id"].unique(), labels["id"].unique()).sum())
