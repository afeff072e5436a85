"""How production is watched, and what makes a model be trained anew."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field

from everfresh.spec.fields import (
    Cron,
    Duration,
    FalseAlarmsPerYear,
    Flag,
    Number,
    PositiveDuration,
    Section,
    Whole,
    written_default,
)


class TrainingReference(Section):
    """Windows are compared with the rows that the serving version was trained on."""

    kind: Literal["training"] = Field(description="The rows that the serving version was trained on.")


class LastWindow(Section):
    """The window that is judged: the last `days` days before the check."""

    kind: Literal["last"] = Field(description="The days before the check.")
    days: Whole = Field(7, ge=1, le=3650, description="How many days.")


class DriftSpec(Section):
    """An alarm needs both: significance at the promised rate of false alarms, and an effect worth an alarm.

    `min_effect` is in standard deviations for numbers and in total variation for categories.
    """

    false_alarms: FalseAlarmsPerYear = Field(
        1.0,
        description="How many false alarms are accepted, as in 1 per year or 1 per 6 months.",
        json_schema_extra=written_default("1 per year"),
    )
    min_effect: Number = Field(
        0.1,
        ge=0,
        lt=1,
        description="The smallest change worth an alarm: in standard deviations, or in total variation for categories.",
    )


class MonitoringSpec(Section):
    """What is compared with what, how often, and how rarely it may cry wolf."""

    schedule: Cron = Field("0 * * * *", description="When production is checked: a cron line in UTC.")
    reference: TrainingReference = Field(TrainingReference(kind="training"), description="What is compared with.")
    current: LastWindow = Field(LastWindow(kind="last"), description="The stretch of production that is judged.")
    drift: DriftSpec = Field(DriftSpec(), description="When a change is an alarm.")


class RetrainWhen(Section):
    """Any of these asks for a retrain; each may be left out."""

    drift: Flag = Field(True, description="When a drift alarm is raised.")
    metric_drop: Annotated[Number, Field(gt=0)] | None = Field(
        None, description="When the primary metric is worse than on the holdout by this much."
    )
    older_than: PositiveDuration | None = Field(None, description="When the serving version is older, as in 60d.")
    schedule: Cron | None = Field(None, description="At fixed times: a cron line in UTC.")


class RetrainingSpec(Section):
    """When a retrain is worth it. `cooldown` counts from the last one; `at_least_labels` are labels since then."""

    when: RetrainWhen = Field(RetrainWhen(), description="What asks for a retrain.")
    cooldown: Duration = Field(
        timedelta(days=1),
        description="How long after a retrain there is no other one.",
        json_schema_extra=written_default("1d"),
    )
    at_least_labels: Whole = Field(500, ge=1, description="How many new labels a retrain needs.")
