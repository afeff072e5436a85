"""The replay: train, deploy, then step by step traffic, labels, a check, and a retrain where one is called for."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from everfresh.data.table import load_table
from everfresh.errors import CannotReplay, NotAReplay
from everfresh.loop.outcome import Outcome
from everfresh.loop.watch import LATEST, inference_root
from everfresh.loop.workspace import Workspace
from everfresh.monitoring.report import MonitoringReport
from everfresh.replay.months import Taken, months_of
from everfresh.replay.plan import Step, plan_replay
from everfresh.replay.report import ReplayReport
from everfresh.replay.traffic import History, await_log, history_of, send_labels, send_rows
from everfresh.serving.client import Endpoint
from everfresh.targets.local import LocalTarget

Flow = Callable[..., Any]
Flows = Callable[[str], Flow]
Progress = Callable[[str], None]

FIRST = "the first model"


def replay(
    workspace: Workspace,
    flows: Flows,
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
        CannotReplay: the table has no history, or its first model may not serve.
    """
    started = time.monotonic()
    watched = _watched(workspace)
    table = load_table(workspace.project, workspace.settings).frame
    history = history_of(table, workspace.spec.data, workspace.spec.task)
    # Whole days: the last hours of a year are not a month of their own.
    last = until or history.times.iloc[-1].floor("D").to_pydatetime()
    plan = plan_replay(workspace.spec, history.times.iloc[0].to_pydatetime(), last, train_until)
    begin_afresh(workspace)
    with watched.endpoint() as endpoint:
        running = _Replay(workspace, flows, endpoint, history, plan.start, progress)
        first = running.first_champion()
        taken = [running.take(step) for step in plan.steps]
        running.send_labels_left(taken[-1].step)
    return ReplayReport(
        project=workspace.name,
        months=months_of(workspace, history, plan, taken, first=first, why_first=FIRST),
        retrains=sum(each.trained_anew for each in taken),
        promotions=sum(each.promoted for each in taken),
        seconds=time.monotonic() - started,
        addresses={**addresses, "endpoint": watched.address(workspace.name)},
    )


def refuse_production(workspace: Workspace) -> None:
    """See that nothing would be removed that production may rely on.

    Raises:
        NotAReplay: versions are there that no replay made.
    """
    versions = workspace.registry.versions(workspace.name)
    foreign = sorted(version.version for version in versions if version.mode != "replay")
    if foreign:
        raise NotAReplay(workspace.name, foreign)


def begin_afresh(workspace: Workspace) -> None:
    """Remove what an earlier replay of the project left: versions, served bundles, logs, the last check.

    Raises:
        NotAReplay: versions are there that no replay made; nothing was removed.
    """
    refuse_production(workspace)
    name = workspace.name
    for target in workspace.targets:
        target.forget(name)
    workspace.registry.forget(name)
    shutil.rmtree(workspace.settings.home / "bundles" / name, ignore_errors=True)
    (workspace.settings.reports / name / LATEST).unlink(missing_ok=True)


def write_report(report: ReplayReport, file: Path) -> None:
    """Keep the report as JSON, whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_suffix(".tmp")
    temporary.write_text(json.dumps(report.to_json(), indent=2) + "\n", encoding="utf-8")
    temporary.replace(file)


@dataclass(frozen=True)
class _Replay:
    """One replay under way. It remembers nothing: what was sent follows from the step that it is at."""

    workspace: Workspace
    flows: Flows
    endpoint: Endpoint
    history: History
    start: datetime
    progress: Progress

    def first_champion(self) -> int:
        """The version that serves from the start on, and is never retrained in one of the comparisons.

        Raises:
            CannotReplay: it may not serve.
        """
        self._say(self.start, f"training {FIRST}")
        outcome: Outcome = self.flows("train")(self.workspace.name, as_of=self.start)
        if outcome.waits_for_rollout:
            how = {"version": outcome.version, "approved_by": "the replay", "reason": FIRST}
            outcome = self.flows("deploy")(self.workspace.name, **how)
        if outcome.serving is None:
            raise CannotReplay(f"{FIRST} does not serve. {outcome.reason}".rstrip("."))
        self._say(self.start, outcome.reason)
        return outcome.serving

    def take(self, step: Step) -> Taken:
        """Traffic, the labels that are known by its end, a check, and a retrain if something asks for one."""
        rows = self._serve(step)
        self._send_labels(self._known_at(step.start), self._known_at(step.end))
        served = self.history.between(self.start, step.end)
        await_log(inference_root(self.workspace), self.workspace.name, served.stop - served.start)
        report: MonitoringReport = self.flows("monitor")(self.workspace.name, as_of=step.end)
        self._say(step.end, f"{rows:,} rows served by v{report.version}, {report.status}")
        drift = report.drift.status if report.drift else "INSUFFICIENT"
        return Taken(step, drift, self._retrain_if_asked(step, report))

    def send_labels_left(self, last: Step) -> None:
        """What is known only after the last check: the report counts it, no decision did."""
        self._send_labels(self._known_at(last.end), last.end)

    def _serve(self, step: Step) -> int:
        champion = self.workspace.registry.load_champion(self.workspace.name)
        columns = self.workspace.bundle(champion).manifest.columns
        rows = self.history.between(step.start, step.end)
        return send_rows(self.endpoint, self.workspace.name, self.history, rows, columns)

    def _send_labels(self, start: datetime, end: datetime) -> None:
        send_labels(self.endpoint, self.workspace.name, self.history, self.history.between(start, end))

    def _known_at(self, moment: datetime) -> datetime:
        """Labels of served rows before this are known at that moment."""
        return max(self.start, moment - self.workspace.spec.data.label_delay)

    def _retrain_if_asked(self, step: Step, report: MonitoringReport) -> Outcome | None:
        """How a retrain ended, where there was one."""
        if not (report.looks_stale or step.retrain_is_due or self._champion_is_old(step.end)):
            return None
        trigger = "event" if report.looks_stale else "schedule"
        outcome: Outcome = self.flows("retrain")(self.workspace.name, trigger=trigger, as_of=step.end)
        if outcome.status == "kept":
            return None
        self._say(step.end, outcome.reason)
        return outcome

    def _champion_is_old(self, now: datetime) -> bool:
        limit = self.workspace.spec.retraining.when.older_than
        champion = self.workspace.registry.champion(self.workspace.name)
        through = champion.trained_through if champion else None
        return limit is not None and through is not None and now - through > limit

    def _say(self, moment: datetime, sentence: str) -> None:
        self.progress(f"{moment:%Y-%m-%d}  {sentence}")


def _watched(workspace: Workspace) -> LocalTarget:
    """The target that traffic is sent to.

    Raises:
        CannotReplay: it is not on this machine.
    """
    target = workspace.targets[0]
    if not isinstance(target, LocalTarget):
        raise CannotReplay(f"the first target of the spec is {target.name}, and traffic is sent to a local one")
    return target
