from datetime import UTC, date, datetime, timedelta, timezone

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from everfresh.data.times import read_times, utc_times
from everfresh.errors import UnparsableTimes

NOON = pd.Timestamp("2013-07-01T12:00Z")


@pytest.mark.parametrize(
    "written",
    [
        "2013-07-01T12:00:00Z",
        "2013-07-01 12:00",
        "2013-07-01T14:00+02:00",
        "20130701T1200",
        datetime(2013, 7, 1, 12),
        datetime(2013, 7, 1, 14, tzinfo=timezone(timedelta(hours=2))),
        pd.Timestamp("2013-07-01T08:00", tz="America/New_York"),
        np.datetime64("2013-07-01T12:00"),
    ],
)
def test_every_way_to_write_a_moment_is_read_as_the_same_moment_in_utc(written: object) -> None:
    times = utc_times(pd.Series([written], dtype=object))

    assert times.tolist() == [NOON]
    assert str(times.dtype) == "datetime64[us, UTC]"


def test_a_date_is_its_midnight_in_utc() -> None:
    midnight = pd.Timestamp("2013-07-01T00:00Z")

    assert utc_times(pd.Series(["2013-07-01", date(2013, 7, 1)], dtype=object)).tolist() == [midnight, midnight]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "Asia/Tokyo"])
def test_columns_of_times_are_moments_in_utc_whatever_their_unit_and_zone(unit: str, zone: str | None) -> None:
    times = pd.Series([NOON.tz_localize(None) if zone is None else NOON.tz_convert(zone), pd.NaT])

    read = utc_times(times.dt.as_unit(unit))

    assert read[0] == NOON
    assert pd.isna(read[1])
    assert str(read.dtype) == "datetime64[us, UTC]"


@pytest.mark.parametrize("number", [1372680000, 1372680000.0, 1372680000000, 41456, True, np.int32(5)])
def test_numbers_are_refused_because_nobody_knows_what_they_count(number: float) -> None:
    with pytest.raises(UnparsableTimes, match=r"1 value of the time column 'at' is no time.*ISO 8601"):
        utc_times(pd.Series([number], name="at"))
    with pytest.raises(UnparsableTimes):
        utc_times(pd.Series([number, "2013-07-01"], dtype=object))


@pytest.mark.parametrize("text", ["01/02/2013", "now", "today", "1372680000", "soon", "", "12:00", "2013-13-01", "NaT"])
def test_text_that_is_no_iso_time_is_refused_and_shown(text: str) -> None:
    with pytest.raises(UnparsableTimes, match=f"such as {text!r}"):
        utc_times(pd.Series(["2013-07-01", text], name="at"))


def test_an_error_counts_all_and_shows_three() -> None:
    wrong = ["a", "b", "a", "c", "d"]

    with pytest.raises(UnparsableTimes, match=r"5 values .* are no time, such as 'a', 'b', 'c'"):
        utc_times(pd.Series([*wrong, "2013-07-01"], name="at"))


def test_missing_times_stay_missing() -> None:
    times = utc_times(pd.Series(["2013-07-01", None, np.nan, pd.NaT, pd.NA], dtype=object))

    assert times.isna().tolist() == [False, True, True, True, True]


def test_times_far_from_now_are_read_too() -> None:
    assert utc_times(pd.Series(["0001-01-01", "9999-12-31T23:59:59"])).dt.year.tolist() == [1, 9999]


@pytest.mark.parametrize("values", [[[1]], [{}], [(1, 2)], [b"2013-07-01"], [timedelta(1)], [pd.Period("2013-07")]])
def test_objects_that_are_no_times_are_told_apart(values: list[object]) -> None:
    moments, wrong = read_times(pd.Series([*values, "2013-07-01"], dtype=object))

    assert wrong.tolist() == [True, False]
    assert moments.isna().tolist() == [True, False]


@settings(max_examples=50)
@given(st.datetimes(min_value=datetime(1, 1, 2), timezones=st.just(UTC)))
def test_a_moment_that_is_written_down_is_read_back(moment: datetime) -> None:
    assert utc_times(pd.Series([moment.isoformat()])).tolist() == [pd.Timestamp(moment)]
