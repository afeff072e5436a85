"""What the rest of the world is told when a model's data drift: the event's name and contents, not its sending."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from everfresh.monitoring.drift_report import DriftReport

DRIFT_DETECTED = "everfresh.drift.detected"


@dataclass(frozen=True)
class DriftEvent:
    """An event as Prefect takes it: `resource` says what it is about, `payload` what happened.

    Attributes:
        name: always `everfresh.drift.detected`.
        resource: holds the resource id `everfresh.model.<project>`, which automations match on.
        payload: project, version, columns, window, as_of and the reason, as JSON can hold them.
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


def drift_event(project: str, version: int, report: DriftReport, as_of: datetime) -> DriftEvent:
    """The event of a report that says DRIFT.

    Args:
        project: the project's name.
        version: the version that served the window.
        report: why; its drifted columns and its window go into the payload.
        as_of: the moment that was judged, in the time of the data: in a replay, long before the event is sent.
    """
    window = report.window and {"start": report.window.start.isoformat(), "end": report.window.end.isoformat()}
    return DriftEvent(
        name=DRIFT_DETECTED,
        resource={
            "prefect.resource.id": resource_id(project),
            "prefect.resource.name": project,
            "everfresh.version": str(version),
        },
        payload={
            "project": project,
            "version": version,
            "columns": list(report.drifted),
            "window": window,
            "as_of": as_of.isoformat(),
            "reason": report.reason,
        },
    )


def is_stale(occurred: datetime, now: datetime, limit: timedelta) -> bool:
    """Whether an event is too old to act on: all events of an outage fire at once when a runner comes back."""
    return now - occurred > limit
