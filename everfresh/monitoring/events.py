"""What the rest of the world is told when a model goes stale: the events' names and contents, not their sending."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from everfresh.monitoring.drift_report import DriftReport
from everfresh.monitoring.report import MonitoringReport
from everfresh.monitoring.retraining import RetrainDecision

DRIFT_DETECTED = "everfresh.drift.detected"
PERFORMANCE_DROPPED = "everfresh.performance.dropped"
RETRAIN_DUE = "everfresh.retrain.due"


@dataclass(frozen=True)
class ModelEvent:
    """An event as Prefect takes it: `resource` says what it is about, `payload` what happened.

    Attributes:
        name: one of the three names of this module.
        resource: holds the resource id `everfresh.model.<project>`, which automations match on, and
            `everfresh.mode`, by which they leave replays alone.
        payload: project, version, as_of and the reason, and for a drift its columns and window, as JSON can hold them.
    """

    name: str
    resource: dict[str, str]
    payload: dict[str, Any]


def resource_id(project: str) -> str:
    """What automations know a project's model by.

    >>> resource_id("flights")
    'everfresh.model.flights'
    """
    return f"everfresh.model.{project}"


def events_of(report: MonitoringReport, decision: RetrainDecision, mode: str) -> tuple[ModelEvent, ...]:
    """Every event that a check is worth: a drift, a dropped metric, and a retrain that is due without either."""
    found = []
    if report.drift and report.drift.status == "DRIFT":
        found.append(drift_event(report.project, report.version, report.drift, report.as_of, mode))
    for performance in report.performance:
        if performance.status == "DROPPED":
            found.append(_event(PERFORMANCE_DROPPED, report, performance.reason, mode))
    if decision.because == "age":
        found.append(_event(RETRAIN_DUE, report, decision.reason, mode))
    return tuple(found)


def drift_event(project: str, version: int, report: DriftReport, as_of: datetime, mode: str) -> ModelEvent:
    """The event of a report that says DRIFT.

    Args:
        project: the project's name.
        version: the version that served the window.
        report: why; its drifted columns and its window go into the payload.
        as_of: the moment that was judged, in the time of the data: in a replay, long before the event is sent.
        mode: `production` or `replay`.
    """
    window = report.window and {"start": report.window.start.isoformat(), "end": report.window.end.isoformat()}
    return ModelEvent(
        name=DRIFT_DETECTED,
        resource=_resource(project, version, mode),
        payload={
            **_payload(project, version, as_of, report.reason),
            "columns": list(report.drifted),
            "window": window,
        },
    )


def is_stale(occurred: datetime, now: datetime, limit: timedelta) -> bool:
    """Whether an event is too old to act on: all events of an outage fire at once when a runner comes back."""
    return now - occurred > limit


def _event(name: str, report: MonitoringReport, reason: str, mode: str) -> ModelEvent:
    project, version = report.project, report.version
    return ModelEvent(name, _resource(project, version, mode), _payload(project, version, report.as_of, reason))


def _resource(project: str, version: int, mode: str) -> dict[str, str]:
    return {
        "prefect.resource.id": resource_id(project),
        "prefect.resource.name": project,
        "everfresh.version": str(version),
        "everfresh.mode": mode,
    }


def _payload(project: str, version: int, as_of: datetime, reason: str) -> dict[str, Any]:
    return {"project": project, "version": version, "as_of": as_of.isoformat(), "reason": reason}
