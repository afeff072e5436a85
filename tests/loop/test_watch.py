import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from time import process_time

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from everfresh.data.columns import Column
from everfresh.data.inference_log import log_schema, write_labels, write_rows
from everfresh.data.inference_log.policy import hashed
from everfresh.loop.release import release
from everfresh.loop.watch import check, decide, events, gather_facts, inference_root, write_latest
from everfresh.loop.workspace import Workspace
from everfresh.monitoring.report import MonitoringReport
from everfresh.registry.versions import ModelVersion
from everfresh.spec.inference_log import InferenceLogSpec
from everfresh.testing.projects import day, open_in_memory, rides, send_labels, serve, train, write_project

NOW = day(70)  # the champion, v1, learned from rows up to day 22; v2 was trained for day 45


def champion(workspace: Workspace) -> ModelVersion:
    return workspace.registry.load_champion("rides")


def between(table: pd.DataFrame, start: float, end: float) -> pd.DataFrame:
    return table[(table["at"] >= day(start)) & (table["at"] < day(end))]


def check_now(workspace: Workspace) -> MonitoringReport:
    return check(workspace, champion(workspace), NOW)


@pytest.fixture
def busy(workspace: Workspace, table: pd.DataFrame) -> Workspace:
    """Ten days of traffic like the training rows', and its labels but those of the last day."""
    served = serve(workspace, between(table, 60, 70), champion(workspace))
    send_labels(workspace, served[served["at"] < day(69)], day(70))
    return workspace


@pytest.fixture(scope="module")
def long_rides() -> pd.DataFrame:
    return rides(days=75, seed=1, longer_from=55)


@pytest.fixture
def drifted(workspace: Workspace, long_rides: pd.DataFrame) -> Workspace:
    """As `busy`, but every ride is twice as long as in training."""
    served = serve(workspace, between(long_rides, 60, 70), champion(workspace))
    send_labels(workspace, served[served["at"] < day(69)], day(70))
    return workspace


def test_without_traffic_nothing_is_judged(workspace: Workspace) -> None:
    report = check_now(workspace)

    assert report.status == "INSUFFICIENT"
    assert report.reason == "The window has 0 rows; below 50 nothing is judged."
    assert report.performance == ()
    assert report.quality == ()


def test_traffic_like_the_training_rows_is_fine(busy: Workspace) -> None:
    report = check_now(busy)

    assert report.status == "OK", report.reason
    assert (report.window.start, report.window.end) == (day(63), day(70))
    assert report.drift is not None
    assert report.drift.rows == pytest.approx(7 * 40, abs=40)
    assert not report.looks_stale


def test_traffic_that_moved_is_a_drift_of_the_column_that_moved(drifted: Workspace) -> None:
    report = check_now(drifted)

    assert report.drift is not None
    assert report.drift.status == "DRIFT"
    assert "distance" in report.drift.drifted
    assert "carrier" not in report.drift.drifted
    assert "distance moved by" in report.reason
    assert report.looks_stale


def test_performance_is_judged_on_rows_whose_labels_are_due(busy: Workspace) -> None:
    (performance,) = check_now(busy).performance

    assert performance.metric == "log_loss"
    assert performance.status == "OK", performance.reason
    assert performance.young == pytest.approx(40, abs=15)  # the last day: labels take a day
    assert performance.labelled == performance.served == pytest.approx(7 * 40, abs=30)


@pytest.mark.parametrize("delay", [0, 14])
def test_the_stretch_that_is_judged_begins_earlier_where_labels_take_longer(
    workspace: Workspace, table: pd.DataFrame, delay: int
) -> None:
    file = write_project(workspace.project.directory, table, data={"label_delay": f"{delay}d"})
    late = open_in_memory(file, workspace.settings, *workspace.targets)
    served = serve(late, between(table, 46, 70), champion(late))
    send_labels(late, served, day(70))

    (performance,) = check_now(late).performance
    assert performance.served == len(between(table, 63 - delay, 70 - delay))
    assert performance.young == len(between(table, 70 - delay, 70))


def test_a_model_that_is_always_wrong_dropped(workspace: Workspace, table: pd.DataFrame) -> None:
    file = write_project(workspace.project.directory, table, retraining={"when": {"metric_drop": 0.1}})
    strict = open_in_memory(file, workspace.settings, *workspace.targets)
    served = serve(strict, between(table, 60, 70), champion(strict))
    send_labels(strict, served, day(70), served["late"].map({"yes": "no", "no": "yes"}).tolist())

    report = check_now(strict)
    assert report.performance[0].status == "DROPPED"
    assert report.status == "ALARM"
    assert [event.name for event in events(strict, report)] == ["everfresh.performance.dropped"]


def test_the_other_versions_answers_are_no_performance_of_the_champion(busy: Workspace, table: pd.DataFrame) -> None:
    before = check_now(busy)
    serve(
        busy,
        between(table, 50, 70).assign(ride=lambda rows: "other-" + rows["ride"]),
        busy.registry.version("rides", 2),
    )
    after = check_now(busy)

    assert after.performance == before.performance
    assert before.drift is not None
    assert after.drift is not None
    assert after.drift.rows == 2 * before.drift.rows


def labelled_rows(workspace: Workspace) -> int:
    (performance,) = check_now(workspace).performance
    return performance.labelled


def test_labels_that_come_twice_count_once(busy: Workspace, table: pd.DataFrame) -> None:
    once, facts = labelled_rows(busy), gather_facts(busy, champion(busy), None, NOW)
    send_labels(busy, between(table, 60, 69), day(71))

    assert labelled_rows(busy) == once
    assert gather_facts(busy, champion(busy), None, NOW) == facts
    assert facts.labels_since == len(between(table, 60, 69))


def test_of_labels_that_contradict_each_other_the_newest_counts(busy: Workspace, table: pd.DataFrame) -> None:
    (before,) = check_now(busy).performance
    part = between(table, 62, 69)
    send_labels(busy, part, day(71), part["late"].map({"yes": "no", "no": "yes"}).tolist())
    (after,) = check_now(busy).performance
    send_labels(busy, part, day(72))

    assert before.score is not None
    assert after.score is not None
    assert after.score > before.score + 1
    assert check_now(busy).performance == (before,)


def test_labels_of_rows_that_nobody_asked_for_change_nothing(busy: Workspace, table: pd.DataFrame) -> None:
    before = check_now(busy), gather_facts(busy, champion(busy), None, NOW)
    send_labels(busy, between(table, 40, 50).assign(ride="unknown"), day(71))
    send_labels(busy, between(table, 60, 65), day(60), [None] * len(between(table, 60, 65)))

    assert (check_now(busy), gather_facts(busy, champion(busy), None, NOW)) == before


def test_labels_that_come_later_are_counted_by_the_next_check(busy: Workspace, table: pd.DataFrame) -> None:
    before = labelled_rows(busy)
    (later,) = check(busy, champion(busy), day(71)).performance
    send_labels(busy, between(table, 69, 70), day(71))
    (labelled,) = check(busy, champion(busy), day(71)).performance

    assert later.served == labelled.served
    assert labelled.labelled - later.labelled == len(between(table, 69, 70))
    assert before == labelled_rows(busy)


def test_what_the_schema_forbids_is_an_alarm(workspace: Workspace, table: pd.DataFrame) -> None:
    limits = {"columns": {"distance": {"dtype": "float", "max": 5000}, "how": {"dtype": "ignore"}}}
    limited = open_in_memory(
        write_project(workspace.project.directory, table.drop(columns="minutes"), data=limits),
        workspace.settings,
        *workspace.targets,
    )
    version, _ = train(limited, day(50))
    release(limited, version, "it knows its limits")
    served = between(table, 64, 70)
    serve(limited, served.assign(distance=np.where(np.arange(len(served)) < 3, 9999.0, served["distance"])), version)

    report = check_now(limited)
    assert report.status == "ALARM"
    assert "distance" in report.quality[0]


def test_a_column_that_was_a_category_before_does_not_confuse_the_check(
    workspace: Workspace, table: pd.DataFrame
) -> None:
    """v9 took the distance for a category: in a log of both it is text, and no number can be read from `far`."""
    serve(workspace, between(table, 60, 70), champion(workspace))
    former = (Column("distance", "category"), Column("stops", "integer"))
    schema = log_schema(former, ("no", "yes"))
    moments = [day(64)] * 100
    rows = {
        "id": [f"f{n}" for n in range(100)], "time": moments, "received": moments, "model": ["rides"] * 100,
        "version": [9] * 100, "variant": ["default"] * 100, "request_id": ["q"] * 100, "latency_s": [0.001] * 100,
        "x.distance": ["far"] * 100, "x.stops": [1.0] * 100, "p.no": [0.5] * 100,
        "p.yes": [0.5] * 100,
    }  # fmt: skip
    write_rows(inference_root(workspace), "rides", pa.table(rows, schema=schema))

    report = check_now(workspace)
    assert report.status == "OK", report.reason
    assert report.drift is not None
    assert report.drift.rows == len(between(table, 63, 70))


@pytest.mark.parametrize(("label", "metric"), [("how", "log_loss"), ("minutes", "rmse")])
def test_more_classes_and_numbers_are_watched_alike(
    make: Callable[..., Workspace], table: pd.DataFrame, label: str, metric: str
) -> None:
    workspace = make(label=label)
    version, _ = train(workspace, day(40))
    release(workspace, version, "the first one")
    send_labels(workspace, serve(workspace, between(table, 55, 70), version), day(70))

    report = check_now(workspace)
    assert report.status == "OK", report.reason
    assert report.performance[0].metric == metric
    assert report.performance[0].status == "OK"


def test_the_latest_report_is_kept_whole(drifted: Workspace) -> None:
    report = check_now(drifted)
    file = write_latest(drifted, report)

    assert file == drifted.settings.root / "reports" / "rides" / "monitoring.json"
    assert json.loads(file.read_text()) == json.loads(json.dumps(report.to_json()))
    assert [path.name for path in file.parent.iterdir()] == ["monitoring.json"]


def test_a_drift_is_told_with_its_column_and_its_mode(drifted: Workspace) -> None:
    (event,) = events(drifted, check_now(drifted))

    assert event.name == "everfresh.drift.detected"
    assert event.resource["everfresh.mode"] == "production"
    assert event.payload["columns"][0] == "distance"
    replayed = replace(drifted, settings=replace(drifted.settings, mode="replay"))
    assert events(replayed, check_now(drifted))[0].resource["everfresh.mode"] == "replay"


def test_a_champion_that_grew_old_is_told_where_nothing_else_is(busy: Workspace, table: pd.DataFrame) -> None:
    file = write_project(busy.project.directory, table, retraining={"when": {"older_than": "30d"}})
    impatient = open_in_memory(file, busy.settings, *busy.targets)

    assert [event.name for event in events(impatient, check_now(impatient))] == ["everfresh.retrain.due"]
    assert events(busy, check_now(busy)) == ()


# --- the decision -------------------------------------------------------------------------------


def ask(workspace: Workspace, as_of: datetime = NOW, **how: object) -> tuple[bool, str]:
    asked = {"trigger": "event", "now": as_of, **how}
    decision = decide(workspace, as_of, **asked)  # type: ignore[arg-type]
    return decision.retrain, decision.reason


def test_a_drift_asks_for_a_retrain(drifted: Workspace) -> None:
    retrain, reason = ask(drifted)

    assert retrain
    assert reason.startswith("The data drifted. ")


def test_where_nothing_happened_there_is_no_retrain(busy: Workspace) -> None:
    retrain, reason = ask(busy)

    assert not retrain
    assert reason == "Nothing asks for a retrain: drift is OK."


def test_without_a_champion_the_first_one_is_asked_for(make: Callable[..., Workspace]) -> None:
    workspace = make()

    assert ask(workspace) == (
        False,
        "'rides' has no champion yet. Run `everfresh train rides`, then `everfresh deploy rides`.",
    )
    assert ask(workspace, forced_by="Ada") == (True, "Ada asked for it by hand.")


def test_whatever_the_policy_says_a_persons_word_counts(workspace: Workspace) -> None:
    assert ask(workspace, day(46), forced_by="Ada") == (True, "Ada asked for it by hand.")


@pytest.mark.parametrize("became", ["the champion", "the challenger", "dismissed"])
def test_the_cooldown_counts_from_the_newest_version_whatever_became_of_it(drifted: Workspace, became: str) -> None:
    newest, _ = train(drifted, day(68))
    if became == "the champion":
        release(drifted, newest, "it is better")
    elif became == "dismissed":
        drifted.registry.dismiss_challenger(newest, "too late")

    retrain, reason = ask(drifted)
    assert not retrain
    assert reason.startswith(f"Cooldown until {day(71):%Y-%m-%d %H:%M}")


def test_a_version_of_the_same_moment_is_not_made_twice(drifted: Workspace) -> None:
    train(drifted, NOW)

    assert ask(drifted)[1].startswith("Cooldown until")


def test_versions_made_for_a_later_moment_do_not_count(drifted: Workspace) -> None:
    train(drifted, day(75))

    assert ask(drifted)[0]


def test_where_the_table_lags_behind_the_cooldown_counts_by_the_clock(workspace: Workspace) -> None:
    # Its versions are of 2013 by their data, and were made a moment ago.
    facts = gather_facts(workspace, champion(workspace), None, datetime.now(UTC) + timedelta(seconds=1))

    assert facts.last_retrain_at is not None
    assert datetime.now(UTC) - facts.last_retrain_at < timedelta(hours=1)
    assert gather_facts(workspace, champion(workspace), None, NOW).last_retrain_at == day(45)
    assert gather_facts(workspace, champion(workspace), None, day(40)).last_retrain_at == day(30)


def test_too_few_new_labels_are_no_reason_to_retrain(workspace: Workspace, long_rides: pd.DataFrame) -> None:
    served = serve(workspace, between(long_rides, 60, 70), champion(workspace))
    send_labels(workspace, served.head(20), day(70))

    retrain, reason = ask(workspace)
    assert not retrain
    assert reason == "Too few labels until 30 more come in: there are 20 new ones, the policy asks at least 50."


def test_only_labels_of_rows_later_than_the_champions_are_new(workspace: Workspace, table: pd.DataFrame) -> None:
    known = champion(workspace).trained_through
    assert known is not None
    served = serve(workspace, between(table, 10, 80), champion(workspace))
    send_labels(workspace, served, day(80))

    facts = gather_facts(workspace, champion(workspace), None, NOW)
    assert facts.labels_since == ((served["at"] > known) & (served["at"] <= NOW)).sum()
    assert gather_facts(workspace, None, None, NOW).labels_since == (served["at"] <= NOW).sum()


@pytest.mark.parametrize(("age_hours", "stale"), [(25, True), (23, False)])
def test_an_event_of_yesterday_starts_nothing(drifted: Workspace, age_hours: int, stale: bool) -> None:
    wall = datetime(2026, 11, 24, tzinfo=UTC)
    retrain, reason = ask(drifted, occurred=wall - timedelta(hours=age_hours), now=wall)

    assert retrain is not stale
    assert ("too old to act on" in reason) is stale


def test_a_schedule_that_is_due_asks_by_itself(busy: Workspace, table: pd.DataFrame) -> None:
    file = write_project(busy.project.directory, table, retraining={"when": {"drift": False, "schedule": "0 3 * * 0"}})
    scheduled = open_in_memory(file, busy.settings, *busy.targets)

    assert ask(scheduled, trigger="schedule") == (True, "The schedule '0 3 * * 0' is due.")
    assert not ask(scheduled, trigger="event")[0]


# --- what it costs ------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_check_of_a_long_log_takes_a_moment(workspace: Workspace) -> None:
    """300 files of 1,000 rows, each with its label: below 1.5 s of this process's time, and so is the decision."""
    schema = log_schema(workspace.bundle(champion(workspace)).manifest.columns, ("no", "yes"))
    random, root = np.random.default_rng(3), inference_root(workspace)
    for number in range(300):
        ids = [f"long-{number}-{row}" for row in range(1000)]
        moments = np.datetime64("2013-01-31") + (np.arange(1000) * 11 + number * 11_000).astype("timedelta64[s]")
        late = random.random(1000)
        columns = {
            "id": ids, "time": moments, "received": moments, "model": ["rides"] * 1000,
            "version": np.ones(1000, int), "variant": ["default"] * 1000, "request_id": ids,
            "latency_s": np.full(1000, 0.001),
            "x.distance": random.normal(900, 300, 1000), "x.stops": random.integers(0, 4, 1000).astype(float),
            "x.weekend": (random.random(1000) < 0.3).astype(float), "x.carrier": random.choice(["AA", "B6"], 1000),
            "p.no": 1 - late, "p.yes": late,
        }  # fmt: skip
        write_rows(root, "rides", pa.table([pa.array(columns[f.name], f.type) for f in schema], schema=schema))
        write_labels(root, "rides", ids, np.where(late > 0.5, "yes", "no").tolist(), day(70))
    check_now(workspace)  # what is imported and opened the first time

    began = process_time()
    report = check_now(workspace)
    checked = process_time() - began
    began = process_time()
    facts = gather_facts(workspace, champion(workspace), report, NOW)
    gathered = process_time() - began

    assert report.performance[0].labelled > 40_000
    assert facts.labels_since > 200_000
    assert checked < 1.5
    assert gathered < 1.5


def test_a_feature_that_the_log_does_not_show_raises_no_alarm(workspace: Workspace, table: pd.DataFrame) -> None:
    """The hash of a category is none of the categories, and what is left out is not missing to the model."""
    version = champion(workspace)
    part = between(table, 60, 70)
    serve(workspace, part, version)
    (file,) = inference_root(workspace).rglob("*.parquet")
    log = pq.read_table(file).drop_columns("x.distance")
    hashes = pa.array(hashed(log["x.carrier"].to_pylist(), b"secret"), pa.string())
    log = log.set_column(log.column_names.index("x.carrier"), "x.carrier", hashes)
    file.unlink()
    write_rows(inference_root(workspace), "rides", log)
    assert check_now(workspace).status == "ALARM"

    redacting = InferenceLogSpec(redact={"carrier": "hash", "distance": "drop"})
    spec = workspace.spec.model_copy(update={"inference_log": redacting})
    redacted = replace(workspace, project=replace(workspace.project, spec=spec))
    report = check_now(redacted)

    assert report.status == "OK"
    assert {found.column for found in report.drift.columns}.isdisjoint({"carrier", "distance"})
    assert report.quality == ()
