from __future__ import annotations

import math
from datetime import UTC, datetime

import pandas as pd
import pytest

from everfresh.data.inference_log import read_log
from everfresh.serving.client import Endpoint
from everfresh.serving.state import inference_root, install_bundle, wait_until_served, want_version


@pytest.fixture
def log_of(eventually):
    """The log of the flights, once so many rows are in it."""

    def read_when_there(server, rows):
        eventually(lambda: len(read_log(inference_root(server.root), "flights")) >= rows)
        return read_log(inference_root(server.root), "flights")

    return read_when_there


def test_what_was_asked_and_answered_is_in_the_log(serve, root, log_of, features, v1):
    server = serve(root)
    before = datetime.now(UTC)
    with Endpoint(server.url) as endpoint:
        prediction = endpoint.predict("flights", features)
    log = log_of(server, 40)
    after = datetime.now(UTC)

    assert list(log.columns) == [
        "id", "time", "received", "model", "version", "variant", "request_id", "latency_s",
        "x.distance", "x.stops", "x.weekend", "x.carrier", "x.booked_at", "p.late", "p.on time",
    ]  # fmt: skip
    assert tuple(log["id"]) == prediction.ids
    assert set(log["request_id"]) == {log["id"][0].rpartition("-")[0]}
    assert set(log["version"]) == {1}
    assert (set(log["model"]), set(log["variant"])) == ({"flights"}, {"default"})
    assert log["latency_s"].between(0, (after - before).total_seconds()).all()
    assert (log["time"] == log["received"]).all()
    assert log["received"].between(before, after).all()
    pd.testing.assert_series_equal(log["x.distance"], features["distance"], check_names=False)
    assert log["x.carrier"].fillna("-").tolist() == features["carrier"].fillna("-").tolist()
    assert log["x.booked_at"].isna().tolist() == features["booked_at"].isna().tolist()
    assert log["p.late"].to_numpy() == pytest.approx(v1.answer(features)[:, 0], abs=1e-12)


def test_ids_and_times_of_the_request_are_kept(serve, root, log_of, features, flights):
    server = serve(root)
    table = features.assign(flight_id=flights["flight_id"], scheduled_at=flights["scheduled_at"], delayed="late")
    with Endpoint(server.url) as endpoint:
        endpoint.predict("flights", table)
        endpoint.predict("flights", features.head(2), ids=["a", "b"], times=["1999-12-31T23:00:00-01:00", None])
    log = log_of(server, 42)
    told = log.set_index("id").loc[table["flight_id"], "time"]
    assert told.dt.tz_localize(None).tolist() == table["scheduled_at"].tolist()
    by_id = log.set_index("id")
    assert by_id.loc["a", "time"] == pd.Timestamp("2000-01-01", tz="UTC")
    assert by_id.loc["b", "time"] == by_id.loc["b", "received"]


def test_each_version_logs_under_its_own_number(serve, root, log_of, features):
    server = serve(root)
    with Endpoint(server.url) as endpoint:
        endpoint.predict("flights", features)
        want_version(root, "flights", 2)
        assert wait_until_served(root, "flights", 2, pd.Timedelta(seconds=10)).served
        endpoint.predict("flights", features)
    log = log_of(server, 80)
    assert log["version"].tolist() == [1] * 40 + [2] * 40
    assert len(read_log(inference_root(root), "flights", version=2)) == 40


def test_a_regression_logs_its_values_and_a_gap_as_a_gap(start, tmp_path, minutes, features, eventually):
    root = tmp_path / "root"
    install_bundle(root, minutes.bundle, version=1)
    want_version(root, "minutes", 1)
    server = start(root)
    eventually(lambda: server.get("/v2/health/ready").status_code == 200)
    one = {name: [None] for name in ("distance", "stops", "weekend", "carrier", "booked_at")}
    with Endpoint(server.url) as endpoint:
        value = endpoint.predict("minutes", one).answer[0]
    assert server.stop() == 0
    (row,) = read_log(inference_root(root), "minutes").to_dict("records")
    assert row["value"] == value
    assert math.isnan(row["x.distance"])
    assert pd.isna(row["x.carrier"])


def metric(server, line):
    return line in server.get("/metrics").text


def test_a_log_that_cannot_be_written_costs_rows_and_one_line_and_no_request(serve, root, features, log_of, eventually):
    blocked = inference_root(root) / "flights" / "log"
    blocked.parent.mkdir(parents=True)
    blocked.write_text("a file where the folder should be")
    server = serve(root)
    with Endpoint(server.url) as endpoint:
        for dropped in (40, 80):
            endpoint.predict("flights", features)
            eventually(
                lambda dropped=dropped: metric(server, f'everfresh_log_rows_total{{outcome="dropped"}} {dropped}')
            )
        assert server.said().count("cannot be written, rows are dropped") == 1

        blocked.unlink()
        endpoint.predict("flights", features)
        assert len(log_of(server, 40)) == 40
    assert metric(server, 'everfresh_log_rows_total{outcome="written"} 40')
    assert metric(server, 'everfresh_log_rows_total{outcome="dropped"} 80')


def test_rows_that_wait_beyond_measure_are_dropped_and_counted(start, root, features, eventually):
    limits = "import everfresh.serving.recorder as r; r.MOST_WAITING_ROWS = 100; r.FLUSH_SECONDS = 30"
    server = start(root, constants=limits)
    eventually(lambda: server.get("/v2/health/ready").status_code == 200)
    with Endpoint(server.url) as endpoint:
        for _ in range(4):
            endpoint.predict("flights", features)
    assert metric(server, 'everfresh_log_rows_total{outcome="dropped"} 80')
    assert server.stop() == 0
    assert len(read_log(inference_root(root), "flights")) == 80
