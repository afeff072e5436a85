from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from everfresh.data.table import Table, check_labels, known_rows, load_table, prepare_table
from everfresh.errors import (
    ContradictoryIds,
    DuplicateColumns,
    EmptyTable,
    MissingColumn,
    NoKnownRows,
    NoLabels,
    NotNumbers,
    OneClass,
    UnparsableTimes,
)
from everfresh.settings import Settings
from everfresh.spec.data import DataSpec
from everfresh.spec.loading import Project, load_spec
from everfresh.spec.metrics import Task

START = datetime(2013, 7, 1, tzinfo=UTC)


def spec(**keys: Any) -> DataSpec:
    return DataSpec.model_validate({"source": {"kind": "csv", "path": "flights.csv"}, "label": "late"} | keys)


TIMED = spec(time_column="at", id_column="flight_id")


def flights(*days: float, **columns: Any) -> pd.DataFrame:
    """A flight on each of these days of July 2013."""
    table = pd.DataFrame(
        {
            "flight_id": [f"f{place}" for place in range(len(days))],
            "at": [(START + timedelta(days=day)).isoformat() for day in days],
            "late": [place % 2 for place in range(len(days))],
        }
    )
    return table.assign(**columns)


def prepared(table: pd.DataFrame, data: DataSpec = TIMED) -> Table:
    return prepare_table(table, data, "flights.csv")


def known(table: pd.DataFrame, data: DataSpec = TIMED, **keys: Any) -> list[str]:
    rows = known_rows(prepared(table, data), data, **({"window": None, "as_of": None} | keys))
    return rows.frame["flight_id"].tolist()


# --- prepare_table ------------------------------------------------------------------------------


def test_a_table_in_order_is_what_it_was_with_times_in_utc() -> None:
    table = prepared(flights(0, 1, distance=[300.5, None]))

    assert table.notes == ()
    assert table.frame["at"].tolist() == [START, START + timedelta(days=1)]
    assert str(table.frame["at"].dtype) == "datetime64[us, UTC]"
    assert table.frame["distance"].isna().tolist() == [False, True]


def test_the_table_that_was_given_is_not_changed() -> None:
    given_table = flights(1, 0)
    before = given_table.copy()

    prepared(given_table)

    pd.testing.assert_frame_equal(given_table, before)


def test_rows_are_sorted_by_time_and_equal_times_keep_their_order() -> None:
    table = prepared(flights(2, 1, 2, 0))

    assert table.frame["flight_id"].tolist() == ["f3", "f1", "f0", "f2"]
    assert table.frame.index.tolist() == [0, 1, 2, 3]
    assert table.notes == ("rows were not in the order of 'at' and have been sorted",)


def test_times_of_different_zones_are_sorted_as_moments() -> None:
    written = ["2013-07-01T12:00+02:00", "2013-07-01T09:00Z", "2013-07-01T07:00-04:00"]

    assert prepared(flights(0, 0, 0, at=written)).frame["flight_id"].tolist() == ["f1", "f0", "f2"]


@pytest.mark.parametrize("values", [[1372636800, 1372636801], ["07/01/2013", "07/02/2013"], [1.5, 2.5]])
def test_a_time_column_that_holds_no_times_is_refused(values: list[object]) -> None:
    with pytest.raises(UnparsableTimes, match="2 values of the time column 'at'"):
        prepared(flights(0, 1, at=values))


def test_rows_without_a_time_are_left_out_and_noted() -> None:
    table = prepared(flights(0, 1, 2, at=["2013-07-01", None, "2013-07-02"]))

    assert table.frame["flight_id"].tolist() == ["f0", "f2"]
    assert table.notes == ("1 row without a time in 'at' left out",)


def test_a_table_in_which_no_row_has_a_time_is_refused() -> None:
    with pytest.raises(UnparsableTimes, match="2 values of the time column 'at' are no time, such as nothing at all"):
        prepared(flights(0, 1, at=[None, None]))


def test_a_declared_datetime_is_parsed_too() -> None:
    data = spec(columns={"booked": {"dtype": "datetime"}})

    table = prepared(flights(0, booked=["2013-06-01T10:00+02:00"]), data)

    assert table.frame["booked"].tolist() == [pd.Timestamp("2013-06-01T08:00Z")]
    with pytest.raises(UnparsableTimes, match="'booked'"):
        prepared(flights(0, booked=["last week"]), data)


def test_without_a_time_column_the_order_stays() -> None:
    table = prepared(flights(2, 0, 1), spec())

    assert table.frame["flight_id"].tolist() == ["f0", "f1", "f2"]
    assert table.notes == ()


def test_a_table_without_rows_is_refused() -> None:
    for table in (flights(), pd.DataFrame(), pd.DataFrame(index=[1, 2])):
        with pytest.raises(EmptyTable, match=r"'flights\.csv' has no rows"):
            prepared(table)


def test_columns_of_one_name_are_refused() -> None:
    table = pd.concat([flights(0), flights(0)[["late"]]], axis="columns")

    with pytest.raises(DuplicateColumns, match="more than one column named 'late'"):
        prepared(table)


@pytest.mark.parametrize(
    ("keys", "role"),
    [
        ({"label": "lat"}, "the label"),
        ({"time_column": "lat"}, "the time column"),
        ({"id_column": "lat"}, "the id column"),
        ({"split": {"kind": "grouped", "by": "lat"}}, "what the split groups by"),
        ({"columns": {"lat": {"dtype": "float"}}}, "declared under data.columns"),
    ],
)
def test_a_column_that_the_spec_names_must_be_there(keys: dict[str, Any], role: str) -> None:
    with pytest.raises(MissingColumn, match=f"no column 'lat', which is {role}. Did you mean 'late'"):
        prepared(flights(0), spec(**keys))


def test_a_column_that_is_ignored_need_not_be_there() -> None:
    prepared(flights(0), spec(columns={"gone": {"dtype": "ignore"}}))


def test_a_named_index_is_a_column_and_names_are_text() -> None:
    table = flights(0, 1).rename(columns={"late": 7}).set_index("flight_id")

    frame = prepared(table, spec(label="7", id_column="flight_id")).frame

    assert list(frame.columns) == ["flight_id", "at", "7"]


def test_an_index_without_a_name_is_no_column() -> None:
    assert list(prepared(flights(0, 1).set_axis([5, 5])).frame.columns) == ["flight_id", "at", "late"]


def test_copies_of_a_row_are_left_out_and_noted() -> None:
    table = pd.concat([flights(0, 1, x=[None, 1.5]), flights(0, 1, x=[None, 1.5]).iloc[[1, 0, 1]]])

    found = prepared(table)

    assert found.frame["flight_id"].tolist() == ["f0", "f1"]
    assert found.notes == ("3 rows left out: copies of one with the same 'flight_id'",)


def test_a_copy_may_write_its_time_in_another_way() -> None:
    table = flights(0, 0, flight_id=["a", "a"], late=[1, 1], at=["2013-07-01T12:00Z", "2013-07-01 14:00+02:00"])

    assert len(prepared(table).frame) == 1


def test_rows_of_one_id_that_differ_are_refused() -> None:
    table = flights(0, 0, 0, 0, 1, flight_id=["a", "a", "b", "b", "c"], late=[0, 1, 1, 1, 1])

    with pytest.raises(ContradictoryIds, match="1 id in 'flight_id' stands on rows that differ, such as 'a'"):
        prepared(table)


def test_an_id_is_the_same_as_a_number_and_as_text() -> None:
    with pytest.raises(ContradictoryIds, match="such as '5'"):
        prepared(flights(0, 1, flight_id=pd.Series([5, "5"], dtype=object)))


def test_copies_that_hold_lists_are_compared_too() -> None:
    stops: Any = [["BOS"], ["BOS"], ["BOS"]]
    same = flights(0, 0, 1, flight_id=["a", "a", "b"], late=[1, 1, 1], stops=stops)

    assert len(prepared(same).frame) == 2
    with pytest.raises(ContradictoryIds):
        prepared(same.assign(stops=[["BOS"], ["JFK"], ["BOS"]]))


def test_rows_without_an_id_stay_and_are_noted() -> None:
    table = prepared(flights(0, 0, 1, flight_id=[None, None, "a"], late=[1, 1, 1]))

    assert len(table.frame) == 3
    assert table.notes == ("2 rows without an id in 'flight_id': no later label can be matched with them",)


def test_rows_without_a_label_stay_and_are_noted() -> None:
    table = prepared(flights(0, 1, 2, late=[1, None, None]))

    assert len(table.frame) == 3
    assert table.notes == ("2 rows without a label in 'late': not learned from",)


def test_a_stretch_without_rows_is_noted_once_where_it_is_out_of_the_ordinary() -> None:
    days = [*range(20), *range(60, 80), *range(95, 110)]

    assert prepared(flights(*days)).notes == ("no rows for 41 days, from 2013-07-20 00:00 to 2013-08-30 00:00 UTC",)


@pytest.mark.parametrize(
    "days", [range(30), [0, 200], [0], [*range(10), *range(15, 25)], [7 * week for week in range(20)], [0, 0.1, 0.9]]
)
def test_ordinary_stretches_without_rows_are_not_noted(days: list[float]) -> None:
    assert prepared(flights(*days)).notes == ()


# --- known_rows ---------------------------------------------------------------------------------

DELAYED = spec(time_column="at", id_column="flight_id", label_delay="2d")


def test_without_a_moment_all_labelled_rows_are_known() -> None:
    rows = known_rows(prepared(flights(0, 1, 2, late=[1, None, 0])), DELAYED, window=None, as_of=None)

    assert rows.frame["flight_id"].tolist() == ["f0", "f2"]
    assert rows.frame.index.tolist() == [0, 1]
    assert rows.as_of == START + timedelta(days=4)


def test_a_row_is_known_from_its_time_and_the_label_delay_on() -> None:
    table = flights(0, 1, 2, 3)

    assert known(table, DELAYED, as_of=START + timedelta(days=3)) == ["f0", "f1"]
    assert known(table, DELAYED, as_of=START + timedelta(days=3) - timedelta(microseconds=1)) == ["f0"]


def test_a_window_is_counted_back_from_the_newest_known_moment() -> None:
    table = flights(0, 1, 2, 3, 4)

    assert known(table, DELAYED, window=timedelta(days=2)) == ["f3", "f4"]
    assert known(table, DELAYED, window=timedelta(days=2), as_of=START + timedelta(days=5)) == ["f2", "f3"]
    assert known(table, DELAYED, window=timedelta(days=36500)) == ["f0", "f1", "f2", "f3", "f4"]


def test_a_moment_without_a_zone_is_in_utc() -> None:
    naive = datetime(2013, 7, 4)
    elsewhere = naive.replace(tzinfo=UTC).astimezone(timezone(timedelta(hours=-4)))

    rows = [known_rows(prepared(flights(0, 1, 2)), DELAYED, window=None, as_of=at) for at in (naive, elsewhere)]

    assert [len(row.frame) for row in rows] == [2, 2]
    assert [row.as_of for row in rows] == [naive.replace(tzinfo=UTC)] * 2


@pytest.mark.parametrize(
    "keys", [{"as_of": START + timedelta(days=1)}, {"as_of": START + timedelta(days=99), "window": timedelta(1)}]
)
def test_where_no_row_is_known_the_error_shows_the_stretch_of_the_table(keys: dict[str, Any]) -> None:
    with pytest.raises(NoKnownRows, match=r"the table goes from 2013-07-01 00:00:00\+00:00 to 2013-07-03"):
        known(flights(0, 2), DELAYED, **keys)


def test_where_no_known_row_has_a_label_the_error_says_so() -> None:
    with pytest.raises(NoLabels, match="None of the 2 rows has a label in 'late'"):
        known(flights(0, 1, 2, late=[None, None, 1]), DELAYED, as_of=START + timedelta(days=3))


def test_a_table_without_a_time_column_has_no_moment() -> None:
    data = spec(id_column="flight_id", label_delay="2d")
    table = prepared(flights(0, 1, late=[None, 1]), data)

    rows = known_rows(table, data, window=None, as_of=START)

    assert rows.frame["flight_id"].tolist() == ["f1"]
    assert rows.as_of is None


@settings(max_examples=60)
@given(
    days=st.lists(st.floats(0, 30), min_size=1, max_size=12),
    as_of=st.floats(0, 40),
    window=st.one_of(st.none(), st.integers(1, 20)),
)
def test_nothing_is_known_before_its_label_can_be(days: list[float], as_of: float, window: int | None) -> None:
    moment, delay = START + timedelta(days=as_of), DELAYED.label_delay
    stretch = None if window is None else timedelta(days=window)
    table = prepared(flights(*days, late=[1] * len(days)), DELAYED)
    expected = [
        time
        for time in table.frame["at"]
        if time <= moment - delay and (not stretch or time > moment - delay - stretch)
    ]

    try:
        found = known_rows(table, DELAYED, window=stretch, as_of=moment).frame["at"].tolist()
    except NoKnownRows:
        found = []

    assert found == expected


# --- check_labels -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("labels", "task"), [([0, 1], "classification"), (["a", "b", None], "classification"), ([1.5, 1.5], "regression")]
)
def test_labels_that_can_be_learned_pass(labels: list[object], task: Task) -> None:
    check_labels(pd.DataFrame({"late": labels}), spec(), task)


def test_a_single_class_is_refused() -> None:
    with pytest.raises(OneClass, match="All 2 labels in 'late' are '1'"):
        check_labels(pd.DataFrame({"late": [1.0, 1.0, None]}), spec(), "classification")


def test_labels_of_a_regression_that_are_no_finite_numbers_are_refused() -> None:
    with pytest.raises(NotNumbers, match="'late' must hold numbers, but 2 values are none, such as inf, -inf"):
        check_labels(pd.DataFrame({"late": [1.0, np.inf, -np.inf]}), spec(), "regression")
    with pytest.raises(NotNumbers, match="'very'"):
        check_labels(pd.DataFrame({"late": ["very"]}), spec(), "regression")


def test_no_labels_at_all_are_refused() -> None:
    with pytest.raises(NoLabels):
        check_labels(pd.DataFrame({"late": [None, None]}), spec(), "classification")


# --- load_table ---------------------------------------------------------------------------------

SPEC = """
name: flights
task: classification
data:
  source: {kind: csv, path: flights.csv}
  label: late
  time_column: at
  id_column: flight_id
  columns: {gate: {dtype: category}}
"""


def project(folder: Path, text: str = SPEC) -> Project:
    file = folder / "projects" / "flights.yaml"
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    return Project(load_spec(file), file)


def test_a_project_s_table_is_read_and_prepared(tmp_path: Path) -> None:
    (tmp_path / "flights.csv").write_text("flight_id,at,late,gate\n02,2013-07-02,1,007\n01,2013-07-01,0,012\n")
    root = Settings.from_environment({"EVERFRESH_ROOT": str(tmp_path)})

    table = load_table(project(tmp_path), root)

    assert table.frame["flight_id"].tolist() == ["01", "02"]
    assert table.frame["gate"].tolist() == ["012", "007"]
    assert table.notes == ("rows were not in the order of 'at' and have been sorted",)


def test_an_empty_table_is_named_as_the_spec_names_it(tmp_path: Path) -> None:
    (tmp_path / "flights.csv").write_text("flight_id,at,late,gate\n")

    with pytest.raises(EmptyTable, match=r"'flights\.csv' has no rows"):
        load_table(project(tmp_path), Settings.from_environment({"EVERFRESH_ROOT": str(tmp_path)}))


def test_a_python_source_may_be_of_a_package_that_the_settings_allow(tmp_path: Path) -> None:
    text = SPEC.replace("{kind: csv, path: flights.csv}", '{kind: python, path: "everfresh_lake:load"}')
    (tmp_path / "everfresh_lake.py").write_text(
        "import pandas as pd\n"
        "def load():\n"
        "    rows = {'flight_id': ['a'], 'at': ['2013-07-01'], 'late': [1], 'gate': ['007']}\n"
        "    return pd.DataFrame(rows)\n"
    )
    allowed = {"EVERFRESH_ROOT": str(tmp_path), "EVERFRESH_ALLOWED_IMPORTS": "everfresh_lake"}

    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(tmp_path)
        table = load_table(project(tmp_path, text), Settings.from_environment(allowed))

    assert table.frame["gate"].tolist() == ["007"]
