from datetime import UTC, datetime, timedelta

import pytest

from everfresh.loop.outcome import Outcome, Status
from everfresh.replay.months import Taken, calendar_months, why_in
from everfresh.replay.plan import Step


def on(day: str) -> datetime:
    return datetime.fromisoformat(f"2013-{day}").replace(tzinfo=UTC)


def taken(day: str, status: Status | None = None, reason: str = "", cause: str = "") -> Taken:
    """A step of a week that ended on that day, and how the retrain after it ended."""
    retrain = Outcome(status, reason, 2, 2, cause) if status else None
    return Taken(Step(on(day) - timedelta(days=7), on(day), False), "OK", retrain)


LIFE = [
    taken("03-11"),
    taken("03-18", "rejected", "rides v2 may not serve. It is worse."),
    taken("04-08", "promoted", "rides v3 serves: The data drifted.", "The data drifted."),
    taken("04-22", "rejected", "rides v4 may not serve. It is worse."),
    taken("06-01", "promoted", "rides v5 serves: It was old.", "It was old."),
]


@pytest.mark.parametrize(
    ("month", "why"),
    [
        ("03", "rides v2 may not serve. It is worse."),
        ("04", "rides v4 may not serve. It is worse."),
        ("05", "The data drifted"),
        ("06", "It was old"),
        ("07", "It was old"),
    ],
)
def test_a_month_says_why_its_version_serves(month: str, why: str) -> None:
    ((start, end),) = calendar_months(on(f"{month}-01"), on(f"{month}-02"))

    assert why_in(start, end, LIFE, "the first model") == why


def test_before_any_retrain_the_first_model_serves() -> None:
    assert why_in(on("03-01"), on("04-01"), LIFE[:1], "the first model") == "the first model"


def test_what_changed_nothing_is_no_retrain() -> None:
    assert not taken("03-11").trained_anew
    assert not taken("03-11", "unchanged").trained_anew
    assert [each.trained_anew for each in LIFE] == [False, True, True, True, True]
    assert [each.promoted for each in LIFE] == [False, False, True, False, True]


def test_months_end_where_the_next_begins() -> None:
    months = list(calendar_months(on("01-31"), on("03-01")))

    assert months == [(on("01-01"), on("02-01")), (on("02-01"), on("03-01"))]
