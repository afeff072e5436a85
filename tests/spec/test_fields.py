from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from everfresh.spec.fields import (
    format_duration,
    format_false_alarms,
    parse_duration,
    parse_false_alarms,
    parse_holdout,
)


@given(st.integers(0, 36_500 * 86_400))
def test_a_duration_is_read_as_it_was_written(seconds: int) -> None:
    duration = timedelta(seconds=seconds)
    assert parse_duration(format_duration(duration)) == duration


@pytest.mark.parametrize(
    "text", ["", "d", "1", "1.5d", "-1d", "1y", "1d\n", " 1d", "1D", "\u0661d", "1d 2h", 14, None, True]
)
def test_what_is_no_duration_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="a duration is a whole number and a unit"):
        parse_duration(text)


@pytest.mark.parametrize(("text", "per_year"), [
    ("1 per year", 1.0),
    ("2 per quarter", 8.0),
    ("1 per month", 12.0),
    ("7 per week", 365.0),
    ("1 per day", 365.0),
    ("1 per 6 months", 2.0),
    ("1 per 2 years", 0.5),
    ("0.5 per year", 0.5),
])  # fmt: skip
def test_a_rate_of_false_alarms_is_counted_by_the_year(text: str, per_year: float) -> None:
    assert parse_false_alarms(text) == pytest.approx(per_year)


@given(st.integers(1, 500), st.integers(1, 60), st.sampled_from(["day", "week", "month", "quarter", "year"]))
def test_a_rate_is_read_as_it_was_written(count: int, periods: int, period: str) -> None:
    rate = parse_false_alarms(f"{count} per {periods} {period}s")
    assert parse_false_alarms(format_false_alarms(rate)) == pytest.approx(rate, abs=1e-8)


@pytest.mark.parametrize(
    "text",
    ["0 per year", "-1 per year", "1 per 0 months", "1 a year", "once per year", 2, True, 0.0, float("nan"), None],
)
def test_what_is_no_rate_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="a false-alarm rate is written as N per day"):
        parse_false_alarms(text)


@pytest.mark.parametrize("holdout", [0, 1, 1.5, -0.2, True, float("nan"), None, [14]])
def test_a_holdout_is_a_duration_or_a_share(holdout: object) -> None:
    with pytest.raises(ValueError, match="a duration as in 14d, or a share of the rows between 0 and 1"):
        parse_holdout(holdout)
