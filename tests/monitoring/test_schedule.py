from __future__ import annotations

import pytest

from everfresh.errors import UnreadableSchedule
from everfresh.monitoring.schedule import checks_per_year, level_per_check


@pytest.mark.parametrize(("cron", "checks"), [
    ("0 * * * *", 8760),
    ("*/15 * * * *", 35_040),
    ("0 6 * * *", 365),
    ("0 6,18 * * *", 730),
    ("0 3 1 * *", 12),
    ("0 3 29 FEB *", 0),
    ("0 3 * * mon", 52),
    ("0 3 * * 7", 53),  # 7 is Sunday, as 0 is; the year starts on one
    ("0 9 * * 1-5", 260),
    ("5/20 0 * * *", 1095),
    ("0 0 13 * 5", 62),  # the 13th or a Friday: 12 + 52 - 2 Fridays the 13th
])  # fmt: skip
def test_a_cron_line_is_counted_over_a_year(cron: str, checks: int) -> None:
    assert checks_per_year(cron) == checks


@pytest.mark.parametrize("cron", ["* * *", "60 * * * *", "0 24 * * *", "0 0 0 * *", "x * * * *", "5-1 * * * *",
                                  "*/0 * * * *", "0 0 * * mon-", ", * * * *"])  # fmt: skip
def test_a_cron_line_that_means_nothing_is_refused(cron: str) -> None:
    with pytest.raises(UnreadableSchedule, match="cannot be read"):
        checks_per_year(cron)


def test_the_false_alarms_of_a_year_are_divided_among_its_checks() -> None:
    assert level_per_check(2.0, 100) == pytest.approx(0.02)


def test_a_check_is_never_laxer_than_five_percent() -> None:
    assert level_per_check(12.0, 12) == 0.05
