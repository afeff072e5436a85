from __future__ import annotations

from datetime import UTC, datetime

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from everfresh.data.inference_log.names import facts_in, full_name, hour_folder, hour_of, new_stem
from everfresh.data.windows import Window

moments = st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))


@settings(max_examples=50, deadline=None)
@given(st.lists(moments, max_size=4), st.integers(0, 3), moments, st.integers(0, 10**10), st.booleans())
def test_a_name_says_what_is_in_the_file(times, version, written, size, merged):
    table = pa.table({"time": pa.array(times, pa.timestamp("us", "UTC")), "version": [version] * len(times)})
    facts = facts_in(full_name(new_stem(table, "time", written), size, merged=merged))
    assert facts is not None
    assert (facts.written, facts.rows, facts.size, facts.is_merged) == (written, len(times), size, merged)
    assert facts.version == (version if times else None)
    for time in times:
        assert facts.may_hold(Window(time, datetime(2300, 1, 1, tzinfo=UTC)), version)
        assert not facts.may_hold(None, version + 1)
        if facts.is_within(Window(datetime(1800, 1, 1), time)):
            raise AssertionError("a window does not hold its own end")


def test_several_versions_are_none_that_could_be_passed_over():
    table = pa.table({"time": pa.array([1, 2], pa.timestamp("us", "UTC")), "version": [1, 2]})
    facts = facts_in(full_name(new_stem(table, "time"), 9))
    assert facts is not None
    assert facts.may_hold(None, 2)


@pytest.mark.parametrize("name", ["20130105T070312123456-8412-3fa2c1.parquet", "part-0.parquet", "x.n1.parquet", ""])
def test_other_names_say_nothing(name):
    assert facts_in(name) is None


@settings(max_examples=20, deadline=None)
@given(moments)
def test_a_folder_is_that_of_an_hour(moment):
    assert hour_of(hour_folder(moment)) == moment.replace(minute=0, second=0, microsecond=0)


@pytest.mark.parametrize("folder", ["date=2013-02-30/hour=07", "date=2013-01-01/hour=24", "2013/07", ""])
def test_other_folders_are_no_hours(folder):
    assert hour_of(folder) is None
