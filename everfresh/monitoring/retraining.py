"""Whether a retrain is worth it now: one pure decision over facts that others gathered."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from everfresh.monitoring.drift_report import DriftReport
from everfresh.monitoring.performance import PerformanceReport
from everfresh.spec.fields import format_duration
from everfresh.spec.monitoring import RetrainingSpec

Because = Literal["drift", "metric_drop", "age", "schedule", "hand", ""]


@dataclass(frozen=True)
class RetrainFacts:
    """All that the decision looks at.

    Attributes:
        drift: the newest judgement of the data, None if there is none.
        performance: the newest judgement on matured labels, None if there is none.
        champion_trained_through: the time of the champion's newest training row; None without a champion.
        last_retrain_at: when the last retrain began, whatever became of it; None if there was none.
        labels_since: labels that have come in since the champion's training rows.
        forced_by: who asked for it by hand; None if nobody did.
        due_by_schedule: whether this decision was called for by the policy's own schedule.
    """

    drift: DriftReport | None = None
    performance: PerformanceReport | None = None
    champion_trained_through: datetime | None = None
    last_retrain_at: datetime | None = None
    labels_since: int = 0
    forced_by: str | None = None
    due_by_schedule: bool = False


@dataclass(frozen=True)
class RetrainDecision:
    """The answer, its reason as a sentence, and what it is because of; "" where there is no retrain."""

    retrain: bool
    reason: str
    because: Because = ""


def decide_retrain(policy: RetrainingSpec, facts: RetrainFacts, now: datetime) -> RetrainDecision:
    """Whether to retrain at `now` (in the time of the data).

    In this order: a person's word beats everything; then the cooldown; then the labels that a new model would learn
    from; then the triggers, of which drift comes first, then a drop of the metric, age and schedule.
    """
    if facts.forced_by is not None:
        return RetrainDecision(True, f"{facts.forced_by} asked for it by hand.", "hand")
    blocked = _cooldown(policy, facts, now) or _too_few_labels(policy, facts)
    if blocked:
        return RetrainDecision(False, blocked)
    for trigger in (_drift, _metric_drop, _age, _schedule):
        decision = trigger(policy, facts, now)
        if decision:
            return decision
    return RetrainDecision(False, _nothing_asks(policy, facts))


def _cooldown(policy: RetrainingSpec, facts: RetrainFacts, now: datetime) -> str | None:
    if facts.last_retrain_at is None or now >= facts.last_retrain_at + policy.cooldown:
        return None
    until = facts.last_retrain_at + policy.cooldown
    return (
        f"Cooldown until {_moment(until)}: the last retrain was at {_moment(facts.last_retrain_at)}, "
        f"and the policy asks {format_duration(policy.cooldown)} between two."
    )


def _too_few_labels(policy: RetrainingSpec, facts: RetrainFacts) -> str | None:
    missing = policy.at_least_labels - facts.labels_since
    if missing <= 0:
        return None
    return (
        f"Too few labels until {missing:,} more come in: there are {facts.labels_since:,} new ones, "
        f"the policy asks at least {policy.at_least_labels:,}."
    )


def _drift(policy: RetrainingSpec, facts: RetrainFacts, now: datetime) -> RetrainDecision | None:
    if not policy.when.drift or facts.drift is None or facts.drift.status != "DRIFT":
        return None
    return RetrainDecision(True, f"The data drifted. {facts.drift.reason}", "drift")


def _metric_drop(policy: RetrainingSpec, facts: RetrainFacts, now: datetime) -> RetrainDecision | None:
    if policy.when.metric_drop is None or facts.performance is None or facts.performance.status != "DROPPED":
        return None
    return RetrainDecision(True, f"The metric dropped. {facts.performance.reason}", "metric_drop")


def _age(policy: RetrainingSpec, facts: RetrainFacts, now: datetime) -> RetrainDecision | None:
    limit, through = policy.when.older_than, facts.champion_trained_through
    if limit is None or through is None or now - through <= limit:
        return None
    reason = f"The champion learned from rows up to {through:%Y-%m-%d}, more than {format_duration(limit)} ago."
    return RetrainDecision(True, reason, "age")


def _schedule(policy: RetrainingSpec, facts: RetrainFacts, now: datetime) -> RetrainDecision | None:
    if policy.when.schedule is None or not facts.due_by_schedule:
        return None
    return RetrainDecision(True, f"The schedule {policy.when.schedule!r} is due.", "schedule")


def _nothing_asks(policy: RetrainingSpec, facts: RetrainFacts) -> str:
    """What each trigger of the policy is still waiting for."""
    waits = []
    if policy.when.drift:
        waits.append(f"drift is {facts.drift.status if facts.drift else 'not measured yet'}")
    if policy.when.metric_drop is not None:
        waits.append(f"performance is {facts.performance.status if facts.performance else 'not measured yet'}")
    if policy.when.older_than is not None and facts.champion_trained_through is not None:
        waits.append(
            f"the champion is too young until {_moment(facts.champion_trained_through + policy.when.older_than)}"
        )
    if policy.when.schedule is not None:
        waits.append(f"the schedule {policy.when.schedule!r} is not due")
    return f"Nothing asks for a retrain: {', '.join(waits)}." if waits else "The policy names nothing that retrains."


def _moment(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M}"
