"""Whole replays of small tables against a real server, with flows that call the loop without Prefect."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

from everfresh.data.inference_log import read_labels, read_log
from everfresh.errors import CannotReplay, NotAReplay
from everfresh.loop.release import release
from everfresh.loop.workspace import Workspace
from everfresh.replay.report import ReplayReport
from everfresh.replay.run import begin_afresh, replay, write_report
from everfresh.settings import Settings
from everfresh.targets.local import LocalTarget
from everfresh.testing.flows import FlowsInMemory
from everfresh.testing.projects import day, open_in_memory, rides, train, write_project


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalTarget]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    target = LocalTarget(port, tmp_path_factory.mktemp("home"))
    yield target
    target.stop()


@pytest.fixture
def project(checkout: Settings, server: LocalTarget) -> Callable[..., Workspace]:
    def a_project(table: pd.DataFrame, label: str = "late", **sections: object) -> Workspace:
        weekly = {"schedule": "0 0 * * 1", **sections.pop("monitoring", {})}  # type: ignore[dict-item]
        file = write_project(checkout.projects, table, label=label, monitoring=weekly, **sections)  # type: ignore[arg-type]
        return open_in_memory(file, replace(checkout, mode="replay"), server)

    return a_project


def run(workspace: Workspace, **options: object) -> ReplayReport:
    flows, said = FlowsInMemory(workspace), list[str]()
    options = {"train_until": day(30), "until": day(70), **options}
    return replay(
        workspace, flows.__getattribute__, progress=said.append, addresses={"MLflow": "here"}, **options  # type: ignore[arg-type]
    )  # fmt: skip


pytestmark = pytest.mark.slow


def test_a_history_that_drifts_is_learned_anew(project: Callable[..., Workspace], tmp_path: Path) -> None:
    table = rides(days=75, longer_from=45)
    workspace = project(table)
    report = run(workspace)

    assert [month.month for month in report.months] == ["2013-01", "2013-02", "2013-03"]
    served = table[(table["at"] >= day(30)) & (table["at"] < day(70))]
    assert [month.rows for month in report.months] == served.groupby(served["at"].dt.strftime("%Y-%m")).size().tolist()
    assert [month.drift for month in report.months][1] == "DRIFT"
    assert report.months[0].why == "the first model"
    last = report.months[-1]
    assert last.served_version > 1
    assert last.why.startswith("The data drifted. ")
    assert report.retrains >= report.promotions >= 1
    for metric, sign in (("roc_auc", 1), ("log_loss", -1)):
        scores = last.scores[metric]
        assert sign * scores["served"] > sign * scores["never_retrained"]  # type: ignore[operator]
        assert sign * scores["never_retrained"] > sign * scores["majority"] or metric == "log_loss"  # type: ignore[operator]

    write_report(report, tmp_path / "new" / "run.json")
    content = json.loads((tmp_path / "new" / "run.json").read_text())
    assert set(content["addresses"]) == {"MLflow", "endpoint"}
    assert content["months"][0]["roc_auc"].keys() == {"served", "never_retrained", "majority"}
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["run.json"]


def test_every_row_is_served_once_and_gets_its_label(project: Callable[..., Workspace], table: pd.DataFrame) -> None:
    workspace = project(table, retraining={"when": {"drift": False}})
    run(workspace, until=day(50))

    root = workspace.targets[0].inference_root
    expected = table[(table["at"] >= day(30)) & (table["at"] < day(50))].set_index("ride")
    log, labels = read_log(root, "rides"), read_labels(root, "rides")
    assert sorted(log["id"]) == sorted(labels["id"]) == sorted(expected.index)
    assert (labels.set_index("id")["label"] == expected["late"]).all()
    assert (log.set_index("id")["time"] == expected["at"]).all()


@pytest.mark.parametrize(("label", "metrics"), [("how", ["roc_auc", "log_loss"]), ("minutes", ["rmse", "mae"])])
def test_more_classes_and_numbers_are_replayed_alike(
    project: Callable[..., Workspace], table: pd.DataFrame, label: str, metrics: list[str]
) -> None:
    report = run(project(table, label), until=day(65))

    for month in report.months:
        assert list(month.scores) == metrics
        assert all(score is not None for scores in month.scores.values() for score in scores.values())
    better = -1 if label == "minutes" else 1
    scores = report.months[-1].scores[metrics[0]]
    assert better * scores["served"] > better * scores["majority"]  # type: ignore[operator]


def test_a_class_that_comes_up_later_is_learned_and_breaks_nothing(
    project: Callable[..., Workspace], table: pd.DataFrame
) -> None:
    grown = table.assign(late=table["late"].mask((table["at"] >= day(40)) & (table["carrier"] == "B6"), "never"))
    weekly = {"when": {"drift": False, "schedule": "0 0 * * 1"}, "at_least_labels": 1}
    report = run(project(grown, retraining=weekly))

    last = report.months[-1]
    assert last.served_version > 1
    assert last.scores["log_loss"]["served"] < last.scores["log_loss"]["never_retrained"]  # type: ignore[operator]


def test_a_first_model_that_may_not_serve_ends_the_replay(
    project: Callable[..., Workspace], table: pd.DataFrame
) -> None:
    gates = [{"kind": "threshold", "metric": "roc_auc", "at_least": 0.999}]

    with pytest.raises(CannotReplay, match=r"the first model does not serve\. rides v1 may not serve\. roc_auc is"):
        run(project(table, promotion={"gates": gates}))


def test_a_replay_begins_where_no_replay_was(project: Callable[..., Workspace], table: pd.DataFrame) -> None:
    workspace = project(table, retraining={"when": {"drift": False}})
    first, second = run(workspace, until=day(45)), run(workspace, until=day(45))

    assert [version.version for version in workspace.registry.versions("rides")] == [1]
    assert [month.scores for month in second.months] == [month.scores for month in first.months]


def test_what_production_may_rely_on_is_never_removed(project: Callable[..., Workspace], table: pd.DataFrame) -> None:
    replayed = project(table)
    production = replace(replayed, settings=replace(replayed.settings, mode="production"))
    version, _ = train(production, day(30))
    release(production, version, "people rely on it")

    for begin in (begin_afresh, run):
        with pytest.raises(NotAReplay, match=r"'rides' has versions that no replay made \(v1\)"):
            begin(replayed)
    assert production.serving() == production.targets[0].current("rides") == 1
    production.targets[0].forget("rides")


def test_traffic_goes_to_this_machine_only(checkout: Settings, table: pd.DataFrame) -> None:
    workspace = open_in_memory(write_project(checkout.projects, table), replace(checkout, mode="replay"))

    with pytest.raises(CannotReplay, match="the first target of the spec is memory"):
        run(workspace)


def test_nothing_is_removed_for_a_replay_that_cannot_begin(
    project: Callable[..., Workspace], table: pd.DataFrame
) -> None:
    workspace = project(table)
    train(workspace, day(30))

    with pytest.raises(CannotReplay, match="the first training at 2014-01-01"):
        run(workspace, train_until=datetime(2014, 1, 1, tzinfo=UTC))
    assert len(workspace.registry.versions("rides")) == 1
