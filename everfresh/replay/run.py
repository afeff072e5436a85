"""The replay: train, deploy, then week by week traffic, labels, a check, and a retrain where one is called for."""

from __future__ import annotations

import json
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from everfresh.data.frames import label_array
from everfresh.data.table import load_table
from everfresh.data.windows import Window
from everfresh.errors import CannotReplay, NotAReplay
from everfresh.evaluation.baseline import Baseline
from everfresh.loop.challenger import baseline_of
from everfresh.loop.outcome import Outcome
from everfresh.loop.watch import inference_root, served_with_labels
from everfresh.loop.workspace import Workspace
from everfresh.monitoring.report import MonitoringReport
from everfresh.packaging.bundle import Bundle
from everfresh.packaging.scorer import Scorer, open_scorer
from everfresh.replay.plan import Plan, Step, plan_replay
from everfresh.replay.report import Month, ReplayReport, month_drift
from everfresh.replay.scoring import scores_of_month
from everfresh.replay.traffic import History, await_log, history_of, send_labels, send_rows
from everfresh.serving.client import Endpoint, ServedModel
from everfresh.targets.local import LocalTarget

Flow = Callable[..., Any]
Progress = Callable[[str], None]


@dataclass
class _Journal:
    """What has happened so far."""

    why: str = ""
    served_rows: int = 0
    labels_until: int = 0
    checks: dict[str, list[str]] = field(default_factory=dict)
    why_by_month: dict[str, str] = field(default_factory=dict)
    retrains: Counter[str] = field(default_factory=Counter)


def replay(
    workspace: Workspace,
    flows: Callable[[str], Flow],
    *,
    train_until: datetime | None = None,
    until: datetime | None = None,
    progress: Progress,
    addresses: Mapping[str, str],
) -> ReplayReport:
    """Replay a project's history against its first target.

    Args:
        workspace: the project; what an earlier replay left of it is removed first.
        flows: gives a flow by its name.
        train_until: when the first model is trained, in the time of the data; after a sixth of it if None.
        until: where the replay ends; at the end of the table if None.
        progress: is told in a sentence what happens.
        addresses: of what was started, for the report.

    Raises:
        NotAReplay: versions are there that no replay made.
        CannotReplay: the table has no history.
    """
    started = time.monotonic()
    begin_afresh(workspace)
    table = load_table(workspace.project, workspace.settings).frame
    history = history_of(table, workspace.spec.data)
    last = until or history.times.iloc[-1].to_pydatetime()
    plan = plan_replay(workspace.spec, history.times.iloc[0].to_pydatetime(), last, train_until)
    journal = _Journal()
    _first_champion(workspace, flows, plan, progress, journal)

    watched = _watched(workspace)
    with Endpoint(watched.url) as endpoint:
        for step in plan.steps:
            _take_step(workspace, flows, endpoint, history, plan, step, journal, progress)
        _send_late_labels(workspace, endpoint, history, journal)
    months = tuple(_months(workspace, history, plan, journal))
    return ReplayReport(
        project=workspace.name,
        months=months,
        retrains=journal.retrains["trained"],
        promotions=journal.retrains["promoted"],
        seconds=time.monotonic() - started,
        addresses={**addresses, "endpoint": watched.address(workspace.name)},
    )


def begin_afresh(workspace: Workspace) -> None:
    """Remove what an earlier replay of the project left: versions, served bundles, logs.

    Raises:
        NotAReplay: versions are there that no replay made; nothing was removed.
    """
    name, versions = workspace.name, workspace.registry.versions(workspace.name)
    foreign = [version.version for version in versions if version.mode != "replay"]
    if foreign:
        raise NotAReplay(name, sorted(foreign))
    for target in workspace.targets:
        target.forget(name)
    workspace.registry.forget(name)
    shutil.rmtree(workspace.settings.home / "bundles" / name, ignore_errors=True)


def write_report(report: ReplayReport, file: Path) -> None:
    """Keep the report as JSON, whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_suffix(".tmp")
    temporary.write_text(json.dumps(report.to_json(), indent=2) + "\n", encoding="utf-8")
    temporary.replace(file)


def _first_champion(
    workspace: Workspace, flows: Callable[[str], Flow], plan: Plan, progress: Progress, journal: _Journal
) -> None:
    progress(f"{plan.start:%Y-%m-%d}  training the first model")
    trained: Outcome = flows("train")(workspace.name, as_of=plan.start)
    if not trained.waits_for_rollout:
        raise CannotReplay(f"the first model may not serve. {trained.reason}".rstrip("."))
    deployed: Outcome = flows("deploy")(
        workspace.name, version=trained.version, approved_by="the replay", reason="the first model"
    )
    progress(f"{plan.start:%Y-%m-%d}  {deployed.reason}")
    journal.why = "the first model"


def _take_step(
    workspace: Workspace,
    flows: Callable[[str], Flow],
    endpoint: Endpoint,
    history: History,
    plan: Plan,
    step: Step,
    journal: _Journal,
    progress: Progress,
) -> None:
    """Traffic, the labels that are known by its end, a check, and a retrain if something asks for one."""
    rows = history.between(step.start, step.end)
    journal.served_rows += _serve(workspace, endpoint, history, rows)
    known = history.between(plan.start, step.end - workspace.spec.data.label_delay)
    journal.labels_until = max(journal.labels_until, known.start)
    send_labels(endpoint, workspace.name, history, slice(journal.labels_until, known.stop))
    journal.labels_until = max(journal.labels_until, known.stop)
    await_log(inference_root(workspace), workspace.name, journal.served_rows)

    report: MonitoringReport = flows("monitor")(workspace.name, as_of=step.end)
    verdict = report.drift.status if report.drift else "INSUFFICIENT"
    month = f"{step.start:%Y-%m}"
    journal.checks.setdefault(month, []).append(verdict)
    journal.why_by_month.setdefault(month, journal.why)
    progress(f"{step.end:%Y-%m-%d}  {rows.stop - rows.start:,} rows served by v{report.version}, {report.status}")
    if report.looks_stale or step.retrain_is_due or _is_old(workspace, step.end):
        _retrain(workspace, flows, step, report, journal, progress)


def _retrain(
    workspace: Workspace,
    flows: Callable[[str], Flow],
    step: Step,
    report: MonitoringReport,
    journal: _Journal,
    progress: Progress,
) -> None:
    trigger = "event" if report.looks_stale else "schedule"
    outcome: Outcome = flows("retrain")(workspace.name, trigger=trigger, as_of=step.end)
    journal.retrains[outcome.status] += 1
    if outcome.status == "kept":
        return
    journal.retrains["trained"] += 1
    progress(f"{step.end:%Y-%m-%d}  {outcome.reason}")
    if outcome.status == "promoted":
        journal.why = outcome.reason
    journal.why_by_month[f"{step.end:%Y-%m}"] = outcome.reason


def _is_old(workspace: Workspace, now: datetime) -> bool:
    limit = workspace.spec.retraining.when.older_than
    champion = workspace.registry.champion(workspace.name)
    through = champion.trained_through if champion else None
    return limit is not None and through is not None and now - through > limit


def _watched(workspace: Workspace) -> LocalTarget:
    """The target that traffic is sent to.

    Raises:
        CannotReplay: it is not on this machine.
    """
    target = workspace.targets[0]
    if not isinstance(target, LocalTarget):
        raise CannotReplay(f"the first target of the spec is {target.name}, and traffic is sent to a local one")
    return target


def _serve(workspace: Workspace, endpoint: Endpoint, history: History, rows: slice) -> int:
    champion = workspace.registry.load_champion(workspace.name)
    columns = workspace.bundle(champion).manifest.columns
    model: ServedModel = endpoint.model(workspace.name)
    return send_rows(endpoint, model, history, rows, columns)


def _send_late_labels(workspace: Workspace, endpoint: Endpoint, history: History, journal: _Journal) -> None:
    """What is known only after the last check: the report counts it, no decision did."""
    send_labels(endpoint, workspace.name, history, slice(journal.labels_until, len(history.table)))


def _months(workspace: Workspace, history: History, plan: Plan, journal: _Journal) -> Iterator[Month]:
    first = workspace.bundle(workspace.registry.version(workspace.name, 1))
    scorer: Scorer = open_scorer(first)
    baseline = _baseline(workspace, history, plan, first)
    for start, end in _calendar_months(plan.start, plan.steps[-1].end):
        served = served_with_labels(workspace, window=Window(start, end)).frame
        if served.empty:
            continue
        month = f"{start:%Y-%m}"
        verdicts = journal.checks.get(month, [])
        yield Month(
            month=month,
            rows=len(served),
            drift=month_drift(verdicts),
            checks=(len(verdicts), verdicts.count("DRIFT")),
            served_version=int(served["version"].iloc[-1]),
            why=journal.why_by_month.get(month, journal.why),
            scores=scores_of_month(served, first, scorer, baseline),
        )


def _baseline(workspace: Workspace, history: History, plan: Plan, first: Bundle) -> Baseline:
    """What knew only the labels that were there before the first training."""
    data, task = workspace.spec.data, workspace.spec.task
    before = history.table.iloc[history.between(history.times.iloc[0], plan.start)]
    labelled = before[before[data.label].notna()]
    return baseline_of(label_array(labelled, data, task), first.manifest.classes, task)


def _calendar_months(start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
    month = start.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    while month < end:
        following = (month + timedelta(days=32)).replace(day=1)
        yield month, following
        month = following
