"""When and how often a cron line fires, and how strict each of that many checks must be."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from itertools import product

from everfresh.errors import UnreadableSchedule
from everfresh.spec.cron import CronFields, cron_fields

_LEAST_STRICT = 0.05
_ANY_YEAR = 2023  # not a leap year; it starts on a Sunday


def checks_per_year(cron: str) -> int:
    """How many times in a year of 365 days a cron line of five fields fires.

    Lists, ranges, steps and English names are understood. As in cron, a day must match one of the two day fields where
    both are restricted, and both where one of them is a star.

    Raises:
        UnreadableSchedule: a field is not a number, a name or a range within its bounds.

    >>> checks_per_year("0 * * * *"), checks_per_year("0 3 * * 0"), checks_per_year("*/15 8-17 * * mon-fri")
    (8760, 53, 10400)
    """
    fields = _parse(cron)
    year = (date(_ANY_YEAR, 1, 1) + timedelta(days=number) for number in range(365))
    return len(fields.minutes) * len(fields.hours) * sum(map(fields.fires_on, year))


def moments(cron: str, after: datetime, until: datetime) -> Iterator[datetime]:
    """When a cron line fires after `after` and not later than `until`, in UTC.

    Raises:
        UnreadableSchedule: as `checks_per_year`.

    >>> [f"{moment:%d %H:%M}" for moment in moments("30 3 * * 1", datetime(2013, 3, 1), datetime(2013, 3, 12))]
    ['04 03:30', '11 03:30']
    """
    fields, day = _parse(cron), after.replace(hour=0, minute=0, second=0, microsecond=0)
    while day <= until:
        if fields.fires_on(day.date()):
            for hour, minute in product(sorted(fields.hours), sorted(fields.minutes)):
                moment = day + timedelta(hours=hour, minutes=minute)
                if after < moment <= until:
                    yield moment
        day += timedelta(days=1)


def level_per_check(false_alarms_per_year: float, checks: float) -> float:
    """The chance of a false alarm that each of `checks` checks a year may have; never more than 0.05.

    A plain division. It promises the *expected number of checks that alarm falsely in a year*, and that promise needs
    nothing from the checks: they may overlap and repeat each other, as a seven-day window that is looked at every hour
    does. Since such checks then alarm in runs, separate false episodes are rarer still.

    >>> level_per_check(1.0, 8760)
    0.00011415525114155251
    """
    return min(_LEAST_STRICT, false_alarms_per_year / max(checks, 1.0))


def _parse(cron: str) -> CronFields:
    try:
        return cron_fields(cron)
    except ValueError as error:
        raise UnreadableSchedule(cron, str(error)) from error
