"""The flows as they are run: by Prefect's engine, against a server, with the tasks' real functions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

from everfresh.errors import NoChallenger, NoChampion, NoPrevious, OneClass, SpecNotFound
from everfresh.loop.workspace import Workspace
from everfresh.settings import Settings
from everfresh.testing.projects import day, rides, send_labels, serve, train, write_project
from flows.deploy import deploy
from flows.monitor import monitor
from flows.retrain import retrain
from flows.rollback import rollback
from flows.score import score
from flows.train import train as train_flow

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("prefect_server")]

Project = Callable[..., Workspace]

IMPOSSIBLE = {"gates": [{"kind": "threshold", "metric": "roc_auc", "at_least": 0.999}]}


def pages(key: str) -> list[str]:
    """What the Prefect UI shows under a key, the oldest first."""
    with get_client(sync_client=True) as client:
        found = client.read_artifacts(artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=[key])))
    return [str(page.data) for page in sorted(found, key=lambda each: str(each.created))]


def test_a_training_ends_with_a_challenger_that_waits(project: Project) -> None:
    workspace = project()
    outcome = train_flow("rides", as_of=day(30))

    assert (outcome.status, outcome.version, outcome.serving) == ("waiting", 1, None)
    assert outcome.reason == "rides v1 may serve. All 2 gates passed."
    assert workspace.registry.challenger("rides") is not None
    assert "## Verdict: PASS" in pages("verdict-rides")[-1]
    assert "rides v1 may serve" in pages("outcome-rides")[-1]


def test_the_same_content_is_not_trained_twice(project: Project) -> None:
    workspace = project()
    first, second = train_flow("rides", as_of=day(30)), train_flow("rides", as_of=day(30))

    assert first == second
    assert len(workspace.registry.versions("rides")) == 1


def test_what_is_deployed_serves_and_is_the_champion(project: Project) -> None:
    workspace = project()
    version, _ = train(workspace, day(30))
    outcome = deploy("rides", reason="it is the first")

    assert (outcome.status, outcome.serving) == ("promoted", 1)
    assert outcome.reason == "rides v1 serves: it is the first."
    assert workspace.targets[0].current("rides") == workspace.serving() == version.version
    assert deploy("rides", version=1).status == "unchanged"
    with pytest.raises(NoChallenger):
        deploy("rides")


def test_a_version_that_no_gate_let_through_is_not_deployed(project: Project) -> None:
    workspace = project(promotion=IMPOSSIBLE)
    rejected = train_flow("rides", as_of=day(30))
    refused = deploy("rides", version=1)

    assert rejected.is_no
    assert refused.is_no
    assert "roc_auc is" in rejected.reason
    assert workspace.targets[0].current("rides") is None
    assert rollback("rides", to=1).is_no


def test_an_approval_is_waited_for(project: Project) -> None:
    workspace = project(promotion={"approval": "required"})
    train(workspace, day(30))

    assert deploy("rides").status == "waiting"
    assert workspace.serving() is None
    assert deploy("rides", approved_by="Ada").reason == "rides v1 serves: All 2 gates passed, approved by Ada."


def test_a_drift_is_noticed_learned_and_can_be_rolled_back(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    moved = rides(days=60, longer_from=40)
    workspace = project(moved, monitoring={"schedule": "0 0 * * 1"})
    version, _ = train(workspace, day(30))
    deploy("rides")
    served = serve(workspace, moved[moved["at"] >= day(45)], version)
    send_labels(workspace, served, day(60))

    report = monitor("rides", as_of=day(60))
    assert report.status == "ALARM"
    assert report.drift is not None
    assert "distance" in report.drift.drifted
    assert "ALARM" in pages("monitoring-rides")[-1]

    stale = retrain("rides", trigger="event", as_of=day(60), occurred=day(58))
    assert (stale.status, stale.serving) == ("kept", 1)
    assert "too old to act on" in stale.reason

    learned = retrain("rides", trigger="event", as_of=day(60))
    assert (learned.status, learned.serving) == ("promoted", 2)
    assert learned.cause.startswith("The data drifted. ")
    assert workspace.targets[0].current("rides") == 2

    again = retrain("rides", trigger="event", as_of=day(60))
    assert again.status == "kept"
    assert again.reason.startswith("Cooldown until")

    back = rollback("rides", reason="complaints")
    assert (back.status, back.serving) == ("rolled_back", 1)
    assert workspace.targets[0].current("rides") == 1
    with pytest.raises(NoPrevious):
        rollback("rides")


def test_a_retrain_that_no_gate_lets_through_keeps_the_champion(project: Project, table: pd.DataFrame) -> None:
    workspace = project()
    train(workspace, day(30))
    deploy("rides")
    write_project(workspace.project.directory, table, promotion=IMPOSSIBLE, targets=_targets(workspace))

    outcome = retrain("rides", forced_by="Ada", as_of=day(60))
    assert outcome.is_no
    assert outcome.serving == workspace.serving() == workspace.targets[0].current("rides") == 1
    assert workspace.registry.challenger("rides") is None


def _targets(workspace: Workspace) -> list[dict[str, Any]]:
    return [target.model_dump(mode="json", include={"kind", "port"}) for target in workspace.spec.targets]


def test_without_a_champion_there_are_sentences(project: Project) -> None:
    project()

    for flow in (retrain, monitor):
        kept = flow("rides")
        assert kept.status == "kept"
        assert "no champion yet" in kept.reason
    with pytest.raises(NoChampion):
        score("rides")


def test_a_table_is_scored_by_the_champion(project: Project, table: pd.DataFrame, tmp_path: Path) -> None:
    workspace = project()
    train(workspace, day(30))
    deploy("rides")
    table.head(7).to_csv(tmp_path / "today.csv", index=False)

    whole = score("rides")
    part = score("rides", table=str(tmp_path / "today.csv"), output=str(tmp_path / "answers.parquet"))
    assert (whole.rows, whole.version) == (len(table), 1)
    assert (part.rows, part.file) == (7, tmp_path / "answers.parquet")
    assert len(pd.read_parquet(part.file)) == 7


def test_a_users_mistake_ends_a_flow_as_it_is(project: Project, table: pd.DataFrame) -> None:
    project(table.assign(late="yes"))

    with pytest.raises(OneClass):
        train_flow("rides")
    with pytest.raises(SpecNotFound, match="Did you mean 'rides'"):
        train_flow("ridse")


def test_the_settings_of_the_environment_are_those_of_the_flow(project: Project, place: Settings) -> None:
    workspace = project()
    train_flow("rides", as_of=day(30))
    deploy("rides")

    assert (place.home / "bundles" / "rides" / "1" / "bundle.json").is_file()
    assert workspace.registry.champion("rides") is not None
