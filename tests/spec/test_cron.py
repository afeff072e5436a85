from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from everfresh.spec.cron import cron_fields


def test_lists_ranges_steps_and_names_are_understood() -> None:
    fields = cron_fields("0,30 8-10 */10 JAN,mar sun-tue")
    assert fields.minutes == {0, 30}
    assert fields.hours == {8, 9, 10}
    assert fields.days == {1, 11, 21, 31}
    assert fields.months == {1, 3}
    assert fields.weekdays == {0, 1, 2}


def test_seven_is_sunday_too() -> None:
    assert cron_fields("0 0 * * 7").weekdays == {0}


def test_a_day_need_match_only_one_field_where_both_are_restricted() -> None:
    assert cron_fields("0 0 13 * 5").either_day
    assert not cron_fields("0 0 13 * *").either_day


@given(st.integers(0, 59), st.integers(1, 59))
def test_a_step_goes_on_to_the_end(start: int, step: int) -> None:
    assert cron_fields(f"{start}/{step} * * * *").minutes == set(range(start, 60, step))


@pytest.mark.parametrize(("cron", "why"), [
    ("* * *", "and this has 3"),
    ("60 * * * *", "'60' in the schedule is not between 0 and 59"),
    ("* 24 * * *", "'24' in the schedule is not between 0 and 23"),
    ("* * 0 * *", "'0' in the schedule is not between 1 and 31"),
    ("* * * 13 *", "'13' in the schedule is not between 1 and 12"),
    ("* * * * 8", "'8' in the schedule is not between 0 and 7"),
    ("* * * mon *", "'mon' in the schedule is not between 1 and 12"),
    ("5-1 * * * *", "'5-1' in the schedule ends before it starts"),
    ("*/0 * * * *", "has no step of at least 1"),
    ("*/ * * * *", "has no step of at least 1"),
    ("², * * * *", "'²' in the schedule is not between 0 and 59"),
])  # fmt: skip
def test_a_line_that_means_nothing_is_refused(cron: str, why: str) -> None:
    with pytest.raises(ValueError, match=why.replace("*", r"\*").replace("(", r"\(")):
        cron_fields(cron)
