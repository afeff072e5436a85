"""Cron lines of five fields, as Prefect and every crontab read them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")


@dataclass(frozen=True)
class CronFields:
    """The minutes, hours, days, months and weekdays (0 is Sunday) on which a line fires.

    Attributes:
        minutes: 0 to 59.
        hours: 0 to 23.
        days: days of the month, 1 to 31.
        months: 1 to 12.
        weekdays: 0 (Sunday) to 6.
        either_day: both day fields are restricted, and a day need match one of them only.
    """

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either_day: bool

    def fires_on(self, day: date) -> bool:
        """Whether it fires on that day, at whatever time."""
        by_date, by_weekday = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return day.month in self.months and (by_date or by_weekday if self.either_day else by_date and by_weekday)


def cron_fields(cron: str) -> CronFields:
    """What a cron line says; lists, ranges, steps and English names are understood.

    Raises:
        ValueError: a field is not a number, a name or a range within its bounds.

    >>> sorted(cron_fields("*/20 3 * * mon-wed").weekdays)
    [1, 2, 3]
    """
    fields = cron.lower().split()
    if len(fields) != 5:
        raise ValueError(f'a schedule is a cron line of five fields, as in "0 3 * * 0", and this has {len(fields)}')
    minutes, hours, days, months, weekdays = fields
    return CronFields(
        minutes=_matches(minutes, 0, 59),
        hours=_matches(hours, 0, 23),
        days=_matches(days, 1, 31),
        months=_matches(months, 1, 12, names=_MONTHS),
        weekdays=frozenset(day % 7 for day in _matches(weekdays, 0, 7, names=_WEEKDAYS)),
        either_day=not days.startswith("*") and not weekdays.startswith("*"),
    )


def _matches(field: str, low: int, high: int, names: tuple[str, ...] = ()) -> frozenset[int]:
    return frozenset(value for part in field.split(",") for value in _part(part, low, high, names))


def _part(part: str, low: int, high: int, names: tuple[str, ...]) -> range:
    span, slash, step_text = part.partition("/")
    step = _digits(step_text) if slash else 1
    if not step:
        raise ValueError(f"{part!r} in the schedule has no step of at least 1")
    if span == "*":
        return range(low, high + 1, step)
    first_text, dash, last_text = span.partition("-")
    first = _number(first_text, low, high, names)
    open_end = high if slash else first  # 5/15 starts at 5 and goes on
    last = _number(last_text, low, high, names) if dash else open_end
    if last < first:
        raise ValueError(f"{span!r} in the schedule ends before it starts")
    return range(first, last + 1, step)


def _number(text: str, low: int, high: int, names: tuple[str, ...]) -> int:
    if text in names:
        return names.index(text) + low
    number = _digits(text)
    if number is None or not low <= number <= high:
        raise ValueError(f"{text!r} in the schedule is not between {low} and {high}")
    return number


def _digits(text: str) -> int | None:
    """A number of at most four digits: `int` alone would take other scripts' digits too, and "²" not even that."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 4 else None
