"""How production is watched, and what makes a model be trained anew."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field

from everfresh.spec.fields import Cron, Duration, FalseAlarmsPerYear, Section


class TrainingReference(Section):
    """Windows are compared with the rows that the serving version was trained on."""

    kind: Literal["training"]


class LastWindow(Section):
    """The window that is judged: the last `days` days before the check."""

    kind: Literal["last"]
    days: int = Field(7, ge=1)


class DriftSpec(Section):
    """An alarm needs both: significance at the promised rate of false alarms, and an effect worth an alarm.

    `min_effect` is in standard deviations for numbers and in total variation for categories.
    """

    false_alarms: FalseAlarmsPerYear = 1.0
    min_effect: float = Field(0.1, ge=0, lt=1)


class MonitoringSpec(Section):
    """What is compared with what, how often, and how rarely it may cry wolf."""

    schedule: Cron = "0 * * * *"
    reference: TrainingReference = TrainingReference(kind="training")
    current: LastWindow = LastWindow(kind="last")
    drift: DriftSpec = DriftSpec()


class RetrainWhen(Section):
    """Any of these asks for a retrain; each may be left out."""

    drift: bool = True
    metric_drop: Annotated[float, Field(gt=0)] | None = None
    older_than: Duration | None = None
    schedule: Cron | None = None


class RetrainingSpec(Section):
    """When a retrain is worth it. `cooldown` counts from the last one; `at_least_labels` are labels since then."""

    when: RetrainWhen = RetrainWhen()
    cooldown: Duration = timedelta(days=1)
    at_least_labels: int = Field(500, ge=1)
