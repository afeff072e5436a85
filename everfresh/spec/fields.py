"""The small types that specs are written with: durations, shares, schedules, false-alarm rates."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_DURATION = re.compile(r"^(\d+)\s*([smhdw])$")
_RATE = re.compile(r"^(\d+) per (day|week|month|quarter|year)$")
_PERIOD_DAYS = {"day": 1, "week": 7, "month": 30, "quarter": 91, "year": 365}
_CRON = re.compile(r"^\S+(\s+\S+){4}$")


class Section(BaseModel):
    """A part of a spec: frozen, and a key it does not know is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def parse_duration(value: Any) -> timedelta:
    """A whole number and one of s, m, h, d, w.

    >>> parse_duration("14d")
    datetime.timedelta(days=14)
    """
    if isinstance(value, timedelta):
        return value
    match = _DURATION.match(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("a duration is a whole number and a unit (s, m, h, d, w), as in 14d")
    return timedelta(seconds=int(match[1]) * _UNITS[match[2]])


def format_duration(value: timedelta) -> str:
    """The shortest way to write a duration, as `parse_duration` reads it.

    >>> format_duration(timedelta(days=3))
    '3d'
    """
    seconds = int(value.total_seconds())
    for unit in ("d", "h", "m"):
        if seconds and seconds % _UNITS[unit] == 0:
            return f"{seconds // _UNITS[unit]}{unit}"
    return f"{seconds}s"


def parse_false_alarms(value: Any) -> float:
    """How many false alarms a year are accepted, from words such as "1 per year".

    >>> parse_false_alarms("1 per quarter")
    4.010989010989011
    """
    if isinstance(value, float):
        return value
    match = _RATE.match(value) if isinstance(value, str) else None
    if match is None or int(match[1]) == 0:
        raise ValueError("a false-alarm rate is written as N per day, week, month, quarter or year, as in 1 per year")
    return int(match[1]) * 365 / _PERIOD_DAYS[match[2]]


def _format_false_alarms(per_year: float) -> str:
    for period, days in reversed(_PERIOD_DAYS.items()):
        count = per_year * days / 365
        if abs(count - round(count)) < 1e-9 and round(count) >= 1:
            return f"{round(count)} per {period}"
    return f"{per_year:g} per year"


def parse_cron(value: Any) -> str:
    """A cron line of five fields; whether its numbers are in range is Prefect's to say when it is deployed."""
    if not isinstance(value, str) or _CRON.match(value) is None:
        raise ValueError('a schedule is a cron line of five fields, as in "0 3 * * 0"')
    return value


def _text(pattern: str, example: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": pattern, "examples": [example]})


Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, return_type=str),
    _text(_DURATION.pattern, "14d"),
]
Cron = Annotated[str, BeforeValidator(parse_cron), _text(_CRON.pattern, "0 3 * * 0")]
FalseAlarmsPerYear = Annotated[
    float,
    BeforeValidator(parse_false_alarms),
    PlainSerializer(_format_false_alarms, return_type=str),
    _text(_RATE.pattern, "1 per year"),
]
Share = Annotated[float, Field(gt=0, lt=1)]
Confidence = Annotated[float, Field(ge=0.5, lt=1)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
ImportPath = Annotated[str, Field(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*(:[A-Za-z_]\w*)?$")]
