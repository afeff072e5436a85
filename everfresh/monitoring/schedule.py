"""When and how often a cron line fires, and how strict each of that many checks must be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import product

from everfresh.errors import UnreadableSchedule

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_LEAST_STRICT = 0.05
_ANY_YEAR = 2023  # not a leap year; it starts on a Sunday


@dataclass(frozen=True)
class _Cron:
    """What the five fields of a cron line match."""

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either_day: bool

    def fires_on(self, day: date) -> bool:
        """Whether it fires on that day, at whatever time."""
        by_date, by_weekday = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return day.month in self.months and (by_date or by_weekday if self.either_day else by_date and by_weekday)


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
            for hour, minute in product(fields.hours, fields.minutes):
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


def _parse(cron: str) -> _Cron:
    fields = cron.lower().split()
    if len(fields) != 5:
        raise UnreadableSchedule(cron, f"it has {len(fields)} fields instead of five")
    return _Cron(
        minutes=tuple(sorted(_matches(cron, fields[0], 0, 59))),
        hours=tuple(sorted(_matches(cron, fields[1], 0, 23))),
        days=frozenset(_matches(cron, fields[2], 1, 31)),
        months=frozenset(_matches(cron, fields[3], 1, 12, names=_MONTHS)),
        weekdays=frozenset(day % 7 for day in _matches(cron, fields[4], 0, 7, names=_WEEKDAYS)),
        either_day=not fields[2].startswith("*") and not fields[4].startswith("*"),
    )


def _matches(cron: str, field: str, low: int, high: int, names: tuple[str, ...] = ()) -> set[int]:
    return {value for part in field.split(",") for value in _part(cron, part, low, high, names)}


def _part(cron: str, part: str, low: int, high: int, names: tuple[str, ...]) -> range:
    span, _, step_text = part.partition("/")
    if "/" in part and (not step_text.isdigit() or int(step_text) == 0):
        raise UnreadableSchedule(cron, f"{part!r} has no step of at least 1")
    step = int(step_text) if step_text else 1
    if span == "*":
        return range(low, high + 1, step)
    first_text, dash, last_text = span.partition("-")
    first = _number(cron, first_text, low, high, names)
    open_end = high if step_text else first  # 5/15 starts at 5 and goes on
    last = _number(cron, last_text, low, high, names) if dash else open_end
    if last < first:
        raise UnreadableSchedule(cron, f"{span!r} ends before it starts")
    return range(first, last + 1, step)


def _number(cron: str, text: str, low: int, high: int, names: tuple[str, ...]) -> int:
    if text in names:
        return names.index(text) + low
    if not text.isdigit() or not low <= int(text) <= high:
        raise UnreadableSchedule(cron, f"{text!r} is not between {low} and {high}")
    return int(text)
