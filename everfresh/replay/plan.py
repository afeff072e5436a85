"""When a replay trains, checks and ends: decided from the table's stretch of time and the spec's schedules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from everfresh.errors import CannotReplay
from everfresh.monitoring.schedule import moments
from everfresh.spec.project import ProjectSpec

MOST_CHECKS = 60
FIRST_SHARE = 1 / 6
"""The share of the history that the first model learns from, where the user does not say: two months of a year."""


@dataclass(frozen=True)
class Step:
    """A stretch of traffic and the check at its end.

    Attributes:
        start: where its traffic begins.
        end: where it ends, and what the check takes for now.
        retrain_is_due: whether the retrain schedule fired meanwhile.
    """

    start: datetime
    end: datetime
    retrain_is_due: bool


@dataclass(frozen=True)
class Plan:
    """The moment of the first training, and the steps after it."""

    start: datetime
    steps: tuple[Step, ...]


def plan_replay(spec: ProjectSpec, first: datetime, last: datetime, train_until: datetime | None = None) -> Plan:
    """The plan for a table whose rows begin at `first`, replayed up to `last`.

    Checks come when the monitoring schedule fires; where that is more than 60 times, evenly chosen ones of them.

    Args:
        spec: its schedules.
        first: the time of the oldest row.
        last: where the replay ends.
        train_until: when the first model is trained; after a sixth of the time if None.

    Raises:
        CannotReplay: there is no time before or after the first training.
    """
    start = train_until or _midnight(first + (last - first) * FIRST_SHARE)
    if not first < start < last:
        raise CannotReplay(
            f"the first training at {start:%Y-%m-%d} is not between {first:%Y-%m-%d} and {last:%Y-%m-%d}"
        )
    ends = [*_thinned(list(moments(spec.monitoring.schedule, start, last))), last]
    due = list(moments(spec.retraining.when.schedule, start, last)) if spec.retraining.when.schedule else []
    steps = [
        Step(begin, end, any(begin < moment <= end for moment in due))
        for begin, end in zip([start, *ends[:-1]], ends, strict=True)
        if begin < end
    ]
    return Plan(start, tuple(steps))


def _midnight(moment: datetime) -> datetime:
    return datetime(moment.year, moment.month, moment.day, tzinfo=UTC)


def _thinned(all_of_them: Sequence[datetime]) -> list[datetime]:
    every = -(-len(all_of_them) // MOST_CHECKS) or 1
    return list(all_of_them[every - 1 :: every])
