import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

from everfresh.errors import NoTrialSucceeded
from everfresh.loop.challenger import lineage_of, make_challenger
from everfresh.loop.rows import learning_rows
from everfresh.loop.search import orders, search_one
from everfresh.loop.workspace import Workspace
from everfresh.testing.projects import day, train
from everfresh.training.trials import Trial

Make = Callable[..., Workspace]


def test_a_version_says_what_it_is_made_of(workspace: Workspace) -> None:
    version = workspace.registry.version("rides", 2)
    bundle = workspace.bundle(version)

    assert version.as_of == day(45)
    assert version.trained_through is not None
    assert day(36) < version.trained_through < day(37)  # labels take a day, and a week is held out
    assert version.parent_version == 1
    assert version.bundle_digest == bundle.manifest.digest
    assert version.tags["everfresh.candidate"] == "logistic"
    assert version.mode == "production"
    assert version.holdout_scores["roc_auc"] > 0.8
    assert bundle.manifest.metadata["spec_hash"] == workspace.spec.hash
    assert bundle.manifest.classes == ("no", "yes")


def test_its_run_is_complete_and_finished(workspace: Workspace) -> None:
    client, version = workspace.registry.client, workspace.registry.version("rides", 2)
    run = client.get_run(version.run_id)
    trials = client.search_runs([run.info.experiment_id], f"tags.`mlflow.parentRunId`='{version.run_id}'")

    assert run.info.status == "FINISHED"
    assert run.data.metrics["holdout.roc_auc"] == version.holdout_scores["roc_auc"]
    assert run.data.metrics["baseline.roc_auc"] == 0.5
    assert sorted(trial.data.params["C"] for trial in trials) == ["0.1", "1.0"]
    assert {file.path for file in client.list_artifacts(version.run_id)} >= {"bundle", "model_card.md", "verdict.json"}
    assert "rides" in str(workspace.registry.read_text(version, "model_card.md"))


def test_nothing_of_its_making_is_left_on_the_disk(workspace: Workspace) -> None:
    made = workspace.settings.home / "bundles" / ".made"

    assert list(made.iterdir()) == []


def test_the_same_content_is_found_and_other_content_is_not(workspace: Workspace) -> None:
    def found(as_of: datetime) -> int | None:
        rows = learning_rows(workspace.project, workspace.settings, as_of)
        same = workspace.registry.same_content("rides", lineage_of(workspace, rows))
        return same.version if same else None

    assert [found(day(30)), found(day(45)), found(day(50))] == [1, 2, None]


def test_a_promotion_in_between_does_not_make_other_content(workspace: Workspace) -> None:
    rows = learning_rows(workspace.project, workspace.settings, day(45))
    before = lineage_of(workspace, rows)
    workspace.registry.promote(workspace.registry.version("rides", 2), "it is better")
    after = lineage_of(workspace, rows)

    assert (before.parent_version, after.parent_version) == (1, 2)
    assert before.key == after.key


@pytest.mark.parametrize(("label", "classes"), [("how", ("early", "late", "on time")), ("minutes", ())])
def test_more_classes_and_numbers_are_learned_alike(make: Make, label: str, classes: tuple[str, ...]) -> None:
    workspace = make(label=label)
    version, verdict = train(workspace, day(30))

    assert verdict.status == "PASS", verdict.reason
    assert workspace.bundle(version).manifest.classes == classes
    assert version.holdout_scores["rmse" if label == "minutes" else "log_loss"] > 0


def test_a_table_without_times_gives_a_version_all_the_same(make: Make, table: pd.DataFrame) -> None:
    data = {"time_column": None, "columns": {}, "label_delay": "0d", "split": {"kind": "random"}}
    workspace = make(table.drop(columns=["at", "how", "minutes"]), data=data)
    began = datetime.now(UTC)
    version, verdict = train(workspace)

    assert verdict.passed
    assert version.trained_through is None
    assert version.as_of is not None
    assert began - timedelta(seconds=1) < version.as_of < datetime.now(UTC) + timedelta(seconds=1)


def test_no_version_is_made_for_the_future(make: Make, table: pd.DataFrame) -> None:
    # The newest row's label is known only tomorrow: the table's own moment lies ahead of the clock.
    shifted = table.assign(at=table["at"] + (datetime.now(UTC) - table["at"].max()))
    version, _ = train(make(shifted))

    assert version.as_of is not None
    assert version.as_of <= datetime.now(UTC)


def test_where_no_trial_succeeded_the_run_is_failed_and_nothing_is_registered(make: Make) -> None:
    workspace = make()
    rows = learning_rows(workspace.project, workspace.settings, day(30))

    with pytest.raises(NoTrialSucceeded, match="logistic: ValueError: too hot"):
        make_challenger(workspace, rows, [Trial("logistic", {"C": 1.0}, error="ValueError: too hot")])
    client = workspace.registry.client
    experiment = client.get_experiment_by_name("rides")
    runs = client.search_runs([experiment.experiment_id], "tags.`everfresh.key` != ''")
    assert [run.info.status for run in runs] == ["FAILED"]
    assert workspace.registry.versions("rides") == ()


def test_a_failed_trial_among_others_is_in_the_records(make: Make) -> None:
    bad = {"name": "bad", "estimator": "sklearn.linear_model.LogisticRegression", "params": {"C": -1.0}}
    good = {"name": "good", "estimator": "sklearn.linear_model.LogisticRegression"}
    workspace = make(training={"candidates": [bad, good]})
    rows = learning_rows(workspace.project, workspace.settings, day(30))
    trials = [trial for order in orders(workspace, rows) for trial in search_one(order)]

    version = make_challenger(workspace, rows, trials)
    run = workspace.registry.client.get_run(version.run_id)
    children = workspace.registry.client.search_runs(
        [run.info.experiment_id], f"tags.`mlflow.parentRunId`='{version.run_id}'"
    )
    assert version.tags["everfresh.candidate"] == "good"
    assert sorted(child.info.status for child in children) == ["FAILED", "FINISHED"]
    assert json.loads(version.tags["everfresh.holdout"])["roc_auc"] > 0.8
