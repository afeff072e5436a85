from datetime import UTC, datetime, timedelta

import pytest

from everfresh.data.windows import Window

NOON = datetime(2013, 7, 8, 12, tzinfo=UTC)


def test_the_last_days_end_now() -> None:
    window = Window.last(7, NOON)

    assert (window.start, window.end) == (NOON - timedelta(days=7), NOON)
    assert window.days == 7.0


@pytest.mark.parametrize(
    ("window", "shown"),
    [
        (Window.last(7, NOON), "2013-07-01 12:00 to 2013-07-08 12:00"),
        (Window.last(7, NOON.replace(hour=0)), "2013-07-01 to 2013-07-08"),
    ],
)
def test_a_window_shows_times_only_where_it_does_not_begin_and_end_at_midnight(window: Window, shown: str) -> None:
    assert str(window) == shown
