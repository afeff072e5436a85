"""From the steps of a replay and the log that they left to what is said of each calendar month."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from everfresh.data.frames import label_array, model_frame
from everfresh.data.windows import Window
from everfresh.evaluation.baseline import Baseline
from everfresh.loop.challenger import baseline_of
from everfresh.loop.outcome import Outcome
from everfresh.loop.watch import served_with_labels
from everfresh.loop.workspace import Workspace
from everfresh.packaging.batch import batch_of
from everfresh.packaging.bundle import Bundle
from everfresh.packaging.scorer import open_scorer
from everfresh.replay.plan import Plan, Step
from everfresh.replay.report import Month, month_drift
from everfresh.replay.scoring import Rival, scores_of_month
from everfresh.replay.traffic import History


@dataclass(frozen=True)
class Taken:
    """A step that was taken.

    Attributes:
        step: when.
        drift: what the check at its end said of the data.
        retrain: how the retrain after it ended, where there was one.
    """

    step: Step
    drift: str
    retrain: Outcome | None

    @property
    def trained_anew(self) -> bool:
        """Whether a version was made, whatever became of it."""
        return self.retrain is not None and self.retrain.status != "unchanged"

    @property
    def promoted(self) -> bool:
        """Whether another version serves since."""
        return self.retrain is not None and self.retrain.status == "promoted"


def months_of(
    workspace: Workspace, history: History, plan: Plan, taken: Sequence[Taken], *, first: int, why_first: str
) -> tuple[Month, ...]:
    """Every calendar month of a replay in which a row was served.

    Args:
        workspace: the project; its log holds what was served.
        history: what was sent.
        plan: when it began.
        taken: its steps.
        first: the version that served at its beginning, which is the one that is never retrained.
        why_first: why that version served.
    """
    bundle = workspace.bundle(workspace.registry.version(workspace.name, first))
    rivals = _Rivals(history, bundle, _baseline(workspace, history, plan, bundle))
    found = []
    for start, end in calendar_months(plan.start, taken[-1].step.end):
        served = served_with_labels(workspace, window=Window(start, end)).frame
        if served.empty:
            continue
        checks = [each.drift for each in taken if start <= each.step.start < end]
        month = Month(
            month=f"{start:%Y-%m}",
            rows=len(served),
            drift=month_drift(checks),
            checks=(len(checks), checks.count("DRIFT")),
            served_version=int(served["version"].iloc[-1]),
            why=why_in(start, end, taken, why_first),
            scores=scores_of_month(served, workspace.spec.task, rivals.on(list(served["id"]))),
        )
        found.append(month)
    return tuple(found)


def why_in(start: datetime, end: datetime, taken: Sequence[Taken], why_first: str) -> str:
    """Why that version serves which does so at the end of a month: the newest promotion, or a retrain that failed."""
    why = why_first
    for each in taken:
        if each.retrain is None or each.step.end >= end:
            continue
        if each.promoted:
            why = (each.retrain.cause or each.retrain.reason).rstrip(".")
        elif each.step.end >= start:
            why = each.retrain.reason
    return why


def calendar_months(start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
    """The calendar months that the time from `start` to `end` touches, each with its first moment and the next one's.

    >>> [f"{month:%Y-%m}" for month, _ in calendar_months(datetime(2013, 11, 20), datetime(2014, 1, 1))]
    ['2013-11', '2013-12']
    """
    month = start.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    while month < end:
        following = (month + timedelta(days=32)).replace(day=1)
        yield month, following
        month = following


@dataclass(frozen=True)
class _Rivals:
    """Whoever else might have answered the same rows."""

    history: History
    first: Bundle
    baseline: Baseline

    def on(self, ids: Sequence[str]) -> dict[str, Rival]:
        """Their answers to the rows of these ids.

        The rows are taken from the table and not from the log, which has only what the version of the day had read.
        """
        manifest = self.first.manifest
        frame = model_frame(self.history.rows_of(ids), manifest.columns)
        answer = open_scorer(self.first).score(batch_of(frame, manifest.columns))
        majority = self.baseline.answer(len(ids))
        return {
            "never_retrained": Rival(answer, manifest.classes),
            "majority": Rival(majority, manifest.classes),
        }


def _baseline(workspace: Workspace, history: History, plan: Plan, first: Bundle) -> Baseline:
    """What knows only the labels that were known at the first training."""
    data, task = workspace.spec.data, workspace.spec.task
    before = history.table.iloc[history.between(history.times.iloc[0], plan.start - data.label_delay)]
    labelled = before[before[data.label].notna()]
    return baseline_of(label_array(labelled, data, task), first.manifest.classes, task)
