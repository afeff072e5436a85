from __future__ import annotations

import json
import math
import signal
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from everfresh.data.inference_log import LogPolicy, read_log, read_shadow_pairs
from everfresh.data.inference_log.policy import hash_key, hashed
from everfresh.packaging.batch import EncodedCategories
from everfresh.serving.client import Endpoint
from everfresh.serving.inference import AnsweredBatch, Asked
from everfresh.serving.metrics.counting import LOG, Metrics
from everfresh.serving.questions.question import Question
from everfresh.serving.recording.recorder import Recorder
from everfresh.serving.versions.models import load_model
from everfresh.serving.versions.state import (
    bundle_directory,
    inference_root,
    install_bundle,
    wait_until_served,
    want_version,
)


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
    limits = "import everfresh.serving.recording.recorder as r; r.MOST_WAITING_ROWS = 100; r.FLUSH_SECONDS = 30"
    server = start(root, constants=limits)
    eventually(lambda: server.get("/v2/health/ready").status_code == 200)
    with Endpoint(server.url) as endpoint:
        for _ in range(4):
            endpoint.predict("flights", features)
    assert metric(server, 'everfresh_log_rows_total{outcome="dropped"} 80')
    assert server.stop() == 0
    assert len(read_log(inference_root(root), "flights")) == 80


@pytest.fixture
def answer(root, features):
    """Answer rows in this process, each by a request of its own unless told otherwise."""
    model = load_model(bundle_directory(root, "flights", 1), "flights", 1)

    def batch_of(rows: slice, *, requests: int | None = None, prefix: str = "r", variant: str = "default", **changes):
        part = features.iloc[rows]
        table = {name: [None if pd.isna(v) else v for v in part[name].tolist()] for name in part}
        table["booked_at"] = [None if v is None else v.timestamp() for v in table["booked_at"]]
        table["carrier"] = changes.get("carrier", table["carrier"])
        read = model.reader.read(table | {"$id": [f"{prefix}{n}" for n in part.index]})
        count = requests or len(part)
        now = time.time_ns()
        asked = [Asked(Question({}), f"{prefix}-{part.index[0]}-{n}", now - 1000) for n in range(count)]
        counts = [len(part) // count] * count
        return AnsweredBatch(model, variant, read, model.scorer.score(read.batch), asked, counts, now)

    return batch_of


@pytest.fixture
def recorder(tmp_path):
    return Recorder(tmp_path, Metrics(), {})


def outcomes(recorder):
    return {dict(labels)["outcome"]: value for labels, value in recorder._metrics.snapshot().values[LOG.name].items()}


def test_rows_that_came_one_by_one_and_in_batches_are_logged_alike(recorder, tmp_path, answer, features):
    for row in range(20):
        recorder.record(answer(slice(row, row + 1)))
    recorder.record(answer(slice(20, 40), requests=4))
    recorder.flush()
    log = read_log(tmp_path, "flights").set_index("id").loc[[f"r{row}" for row in range(40)]]
    assert log["x.distance"].fillna(-1).tolist() == features["distance"].fillna(-1).tolist()
    assert log["x.carrier"].fillna("-").tolist() == features["carrier"].fillna("-").tolist()
    assert log["request_id"].iloc[[0, 19, 20, 24, 25, 39]].tolist() == [
        "r-0-0", "r-19-0", "r-20-0", "r-20-0", "r-20-1", "r-20-3",
    ]  # fmt: skip
    assert (log["p.late"] + log["p.on time"]).to_numpy() == pytest.approx(1)
    assert set(log["variant"]) == {"default"}


def test_variants_that_were_asked_together_keep_their_names(recorder, tmp_path, answer):
    for row, variant in enumerate(["default", "split", "requested", "split"]):
        recorder.record(answer(slice(row, row + 1), variant=variant))
    recorder.record(answer(slice(4, 8), variant="requested"))
    recorder.flush()
    log = read_log(tmp_path, "flights").set_index("id")
    assert log.loc[["r0", "r1", "r2", "r3"], "variant"].tolist() == ["default", "split", "requested", "split"]
    assert set(log.loc[["r4", "r7"], "variant"]) == {"requested"}


def test_categories_that_their_sender_encoded_are_logged_as_text(recorder, tmp_path, answer):
    encoded = EncodedCategories(np.array([1, -1, 0], dtype=np.int32), ["AA", "UA"])
    recorder.record(answer(slice(0, 3), carrier=encoded))
    recorder.record(answer(slice(3, 4), carrier=EncodedCategories(np.array([0], dtype=np.int32), ["B6"])))
    recorder.flush()
    log = read_log(tmp_path, "flights").set_index("id")["x.carrier"].fillna("-")
    assert log.loc[["r0", "r1", "r2", "r3"]].tolist() == ["UA", "-", "AA", "B6"]


def test_a_sample_keeps_whole_requests_and_every_process_the_same_ones(recorder, tmp_path, answer):
    policy = LogPolicy(sample=0.5)
    recorder.set_policy("flights", policy)
    batch = answer(slice(0, 40), requests=20)
    recorder.record(batch)
    recorder.record(replace(batch, variant="shadow"))
    recorder.flush()
    log = read_log(tmp_path, "flights")
    taken = {asked.request_id for asked in batch.asked if policy.takes(asked.request_id)}
    assert 0 < len(taken) < 20
    assert set(log["request_id"]) == taken
    assert len(log) == 2 * len(taken)
    assert len(read_shadow_pairs(tmp_path, "flights")) == len(log)
    assert outcomes(recorder) == {
        "written": 2 * len(log), "dropped": 0, "sampled_out": 80 - 2 * len(log),
    }  # fmt: skip


def test_a_sample_is_about_as_large_as_it_is_meant_to_be():
    policy = LogPolicy(sample=0.1)
    assert sum(policy.takes(f"request-{number}") for number in range(10_000)) == pytest.approx(1000, abs=120)


def test_what_is_redacted_is_in_no_file(recorder, tmp_path, answer):
    recorder.set_policy("flights", LogPolicy(redact={"carrier": "hash", "distance": "drop", "stops": "hash"}))
    recorder.record(answer(slice(0, 3), carrier=["Top Secret Air", "B6", None]))
    recorder.record(answer(slice(3, 4), carrier=["Top Secret Air"]))
    recorder.flush()
    log = read_log(tmp_path, "flights").set_index("id")
    carriers = log.loc[["r0", "r1", "r2", "r3"], "x.carrier"]
    assert "x.distance" not in log
    assert carriers["r0"] == carriers["r3"] != carriers["r1"]
    assert carriers.isna().tolist() == [False, False, True, False]
    assert log["x.stops"].str.fullmatch("[0-9a-f]{32}").all()
    assert not [file for file in tmp_path.rglob("*") if file.is_file() and b"Top Secret" in file.read_bytes()]


def test_hashes_come_from_a_key_that_only_its_owner_reads_or_from_the_environment(tmp_path):
    key = hash_key(tmp_path, {})
    assert (hash_key(tmp_path, {}), (tmp_path / ".hash-key").stat().st_mode & 0o777) == (key, 0o600)
    assert [file.name for file in tmp_path.iterdir()] == [".hash-key"]
    assert hash_key(tmp_path, {"EVERFRESH_INFERENCE_LOG_KEY": "mine"}) == b"mine"
    assert hashed(["B6"], key) != hashed(["B6"], b"mine")


def test_without_a_key_nothing_is_written_in_clear(tmp_path, answer, caplog):
    root = tmp_path / "log"
    root.write_text("a file where the folder should be")
    recorder = Recorder(root, Metrics(), {})
    recorder.set_policy("flights", LogPolicy(redact={"carrier": "hash"}))
    recorder.record(answer(slice(0, 2)))
    recorder.flush()
    assert "rows are dropped" in caplog.text
    assert outcomes(recorder) == {"written": 0, "dropped": 2}


@pytest.mark.parametrize(
    "policy", [LogPolicy(), LogPolicy(keep=timedelta(days=30), sample=0.25, redact={"a": "drop", "b": "hash"})]
)
def test_a_policy_survives_the_state_file(policy):
    assert LogPolicy.from_json(json.loads(json.dumps(policy.to_json()))) == policy


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (5, "no object"),
        ({"keep": 3}, "'keep' is none of keep_hours, redact, sample"),
        ({"keep_hours": "3"}, "keep_hours is '3', which is no number"),
        ({"keep_hours": 0}, "keep_hours is 0 and must be at least 1"),
        ({"sample": 0}, "sample is 0 and must be above 0"),
        ({"sample": float("nan")}, "sample is nan, which is no number"),
        ({"redact": {"a": "hide"}}, "drop or hash for each column"),
        ({"redact": ["a"]}, "drop or hash for each column"),
    ],
)
def test_a_policy_that_is_none_is_refused_in_words(content, message):
    with pytest.raises(ValueError, match=message):
        LogPolicy.from_json(content)


def test_a_server_merges_the_hours_that_are_over(start, root, features, eventually):
    soon = "import everfresh.serving.recording.keeper as k; k.LOOK_EVERY_S = 0.1; k.LOOK_AT_ALL_EVERY_S = 0.1"
    past = "import datetime as d; import everfresh.data.inference_log.writing as w; f = w.hour_folder; "
    past += "w.hour_folder = lambda m: f(m - d.timedelta(hours=5))"
    server = start(root, constants=f"{soon}; {past}")
    eventually(lambda: server.get("/v2/health/ready").status_code == 200)
    log = inference_root(root) / "flights" / "log"
    with Endpoint(server.url) as endpoint:
        for expected in (1, 2):
            endpoint.predict("flights", features)
            eventually(lambda expected=expected: len(read_log(inference_root(root), "flights")) == 40 * expected)
    eventually(lambda: [file.name.endswith(".all.parquet") for file in log.rglob("*.parquet")] == [True])
    assert len(read_log(inference_root(root), "flights")) == 80


def test_kill_9_costs_the_last_flush_at_most(start, root, features, eventually):
    server = start(root, constants="import everfresh.serving.recording.recorder as r; r.FLUSH_SECONDS = 0.05")
    eventually(lambda: server.get("/v2/health/ready").status_code == 200)
    with Endpoint(server.url) as endpoint:
        for number in range(10):
            endpoint.predict("flights", features, ids=[f"{number}-{row}" for row in range(40)])
        eventually(lambda: len(read_log(inference_root(root), "flights")) == 400)
        for number in range(10, 15):
            endpoint.predict("flights", features, ids=[f"{number}-{row}" for row in range(40)])
    for process in [*server.workers(), server.process]:
        process.send_signal(signal.SIGKILL)
    log = read_log(inference_root(root), "flights")
    assert log["id"].is_unique
    assert len(log) >= 400
