"""The small types that specs are written with: numbers, durations, shares, schedules, false-alarm rates."""

from __future__ import annotations

import math
import re
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, PlainSerializer, Strict, WithJsonSchema

from everfresh.spec.cron import cron_fields

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_DURATION = re.compile(r"^([0-9]{1,10})\s*([smhdw])$")
_LONGEST = timedelta(days=36_500)
_RATE = re.compile(r"^([0-9]+(?:\.[0-9]+)?) per (?:([1-9][0-9]{0,3}) )?(day|week|month|quarter|year)s?$")
_PERIODS_PER_YEAR = {"year": 1.0, "quarter": 4.0, "month": 12.0, "week": 365 / 7, "day": 365.0}

NAME = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
IMPORT_PATH = r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*(:[A-Za-z_]\w*)?$"
VARIABLE = r"^[A-Z][A-Z0-9_]*$"

PATTERNS_IN_WORDS = {
    NAME: "a name has lower-case letters, digits and hyphens, at most 63, as in flight-delays",
    IMPORT_PATH: "an import path, as in sklearn.linear_model.Ridge or module:function",
    VARIABLE: "the name of an environment variable, in capitals",
}
"""What a fault says instead of a regular expression."""


class Section(BaseModel):
    """A part of a spec: frozen, and a key it does not know is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def parse_duration(value: Any) -> timedelta:
    """A whole number and one of s, m, h, d, w; at most a hundred years.

    >>> parse_duration("14d")
    datetime.timedelta(days=14)
    """
    if isinstance(value, timedelta):
        return value
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("a duration is a whole number and a unit (s, m, h, d, w), as in 14d")
    seconds = int(match[1]) * _UNITS[match[2]]
    if seconds > _LONGEST.total_seconds():
        raise ValueError(f"a duration is at most {_LONGEST.days}d")
    return timedelta(seconds=seconds)


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


def parse_positive_duration(value: Any) -> timedelta:
    """A duration that is longer than nothing."""
    duration = parse_duration(value)
    if duration <= timedelta(0):
        raise ValueError("a duration above 0, as in 14d")
    return duration


def parse_holdout(value: Any) -> timedelta | float:
    """A duration, or a share between 0 and 1.

    >>> parse_holdout("14d"), parse_holdout(0.2)
    (datetime.timedelta(days=14), 0.2)
    """
    if isinstance(value, str | timedelta):
        return parse_positive_duration(value)
    if isinstance(value, int | float) and 0 < value < 1:
        return value
    raise ValueError("a duration as in 14d, or a share of the rows between 0 and 1")


def parse_false_alarms(value: Any) -> float:
    """How many false alarms a year are accepted, from words such as "1 per year".

    >>> parse_false_alarms("1 per quarter"), parse_false_alarms("1 per 6 months")
    (4.0, 2.0)
    """
    if isinstance(value, float) and 0 < value < math.inf:
        return value
    match = _RATE.fullmatch(value) if isinstance(value, str) else None
    if match is None or float(match[1]) == 0:
        raise ValueError(
            "a false-alarm rate is written as N per day, week, month, quarter or year, as in 1 per year "
            "or 1 per 6 months"
        )
    return float(match[1]) * _PERIODS_PER_YEAR[match[3]] / int(match[2] or 1)


def format_false_alarms(per_year: float) -> str:
    """The words for a rate, as `parse_false_alarms` reads them.

    >>> [format_false_alarms(rate) for rate in (1.0, 4.0, 0.5, 365.0)]
    ['1 per year', '4 per year', '1 per 2 years', '365 per year']
    """
    for period, in_a_year in _PERIODS_PER_YEAR.items():
        count = per_year / in_a_year
        if _is_whole(count):
            return f"{round(count)} per {period}"
        if _is_whole(1 / count) and round(1 / count) < 10_000:
            return f"1 per {round(1 / count)} {period}s"
    return f"{per_year:.9f} per year"


def parse_cron(value: Any) -> str:
    """A cron line of five fields, each within its bounds."""
    if not isinstance(value, str):
        raise ValueError('a schedule is a cron line of five fields in quotes, as in "0 3 * * 0"')
    cron_fields(value)
    return value


def parse_number(value: Any) -> int | float:
    """A finite number: YAML's true and its "3" are none, and neither is .nan."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError("a number")
    return value


def parse_whole(value: Any) -> int:
    """A whole number: 3, and neither 3.0 nor "3" nor true."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("a whole number")
    return value


def refuse_empty(items: tuple[Any, ...] | None) -> tuple[Any, ...] | None:
    """For lists with at least one item; after the items, so that one faulty item is not also counted as none."""
    if items == ():
        raise ValueError("a list with at least one item")
    return items


def _is_whole(value: float) -> bool:
    return round(value) >= 1 and math.isclose(value, round(value), rel_tol=1e-12)


def written_default(text: str) -> dict[str, JsonValue]:
    """For a key whose default has another type than it is written with: how the JSON Schema shows it."""
    return {"default": text}


def _text(pattern: str, example: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": pattern, "examples": [example]})


_WRITTEN = PlainSerializer(format_duration, return_type=str)

Number = Annotated[float, BeforeValidator(parse_number)]
Whole = Annotated[int, BeforeValidator(parse_whole)]
Flag = Annotated[bool, Strict()]
Duration = Annotated[timedelta, BeforeValidator(parse_duration), _WRITTEN, _text(_DURATION.pattern, "14d")]
PositiveDuration = Annotated[
    timedelta, BeforeValidator(parse_positive_duration), _WRITTEN, _text(_DURATION.pattern, "14d")
]
Cron = Annotated[str, BeforeValidator(parse_cron), _text(r"^\S+(\s+\S+){4}$", "0 3 * * 0")]
FalseAlarmsPerYear = Annotated[
    float,
    BeforeValidator(parse_false_alarms),
    PlainSerializer(format_false_alarms, return_type=str),
    _text(_RATE.pattern, "1 per year"),
]
Share = Annotated[Number, Field(gt=0, lt=1)]
Holdout = Annotated[
    timedelta | float,
    BeforeValidator(parse_holdout),
    PlainSerializer(lambda value: format_duration(value) if isinstance(value, timedelta) else value),
    WithJsonSchema({
        "anyOf": [
            {"type": "string", "pattern": _DURATION.pattern, "examples": ["14d"]},
            {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
        ]
    }),
]  # fmt: skip
Confidence = Annotated[Number, Field(ge=0.5, lt=1)]
Name = Annotated[str, Field(pattern=NAME)]
ColumnName = Annotated[str, Field(min_length=1)]
ImportPath = Annotated[str, Field(pattern=IMPORT_PATH)]
