import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from everfresh.errors import InvalidOverride, RegistryUnreachable, UnreadableVerdict
from everfresh.evaluation.verdict import Override, Verdict
from everfresh.loop.challenger import make_challenger
from everfresh.loop.judgement import gather_evidence, judge, override_verdict, record
from everfresh.loop.release import release
from everfresh.loop.rows import learning_rows
from everfresh.loop.search import orders, search_one
from everfresh.loop.workspace import Workspace
from everfresh.registry.store import Registry
from everfresh.registry.versions import ModelVersion
from everfresh.testing.projects import day, open_in_memory, rides, train, write_project

Make = Callable[..., Workspace]

NOW = datetime(2013, 6, 1, tzinfo=UTC)
IMPOSSIBLE = {"kind": "threshold", "metric": "roc_auc", "at_least": 0.999}
BEATS = {"kind": "beats_champion", "metric": "log_loss", "margin": -0.3}


def with_spec(workspace: Workspace, table: pd.DataFrame, **sections: object) -> Workspace:
    """The same project and registry, after somebody edited the table or the spec."""
    write_project(workspace.project.directory, table, **sections)  # type: ignore[arg-type]
    return open_in_memory(workspace.project.file, workspace.settings, *workspace.targets)


def test_a_version_that_passes_waits_as_challenger_and_its_verdict_is_kept(workspace: Workspace) -> None:
    version = workspace.registry.version("rides", 2)
    stored = workspace.registry.read_text(version, "verdict.json")

    assert version.aliases == ("challenger",)
    assert version.verdict == "PASS"
    assert stored is not None
    assert Verdict.from_json(json.loads(stored)).reason == version.verdict_reason == "All 2 gates passed."
    assert "## Verdict: PASS" in str(workspace.registry.read_text(version, "verdict.md"))


def test_a_gate_that_says_no_keeps_the_champion_and_dismisses_the_challenger(
    workspace: Workspace, table: pd.DataFrame
) -> None:
    strict = with_spec(workspace, table, promotion={"gates": [IMPOSSIBLE, BEATS]})
    version, verdict = train(strict, day(60))

    assert verdict.status == "FAIL"
    assert "the gate asks at least 0.999" in verdict.reason
    assert version.aliases == ()
    assert (version.verdict, version.verdict_reason) == ("FAIL", verdict.reason)
    stored = Verdict.from_json(json.loads(str(workspace.registry.read_text(version, "verdict.json"))))
    assert [result.status for result in stored.results] == ["FAIL", "PASS"]
    assert workspace.serving() == 1
    assert workspace.registry.champion("rides") != version


def test_a_challenger_that_is_judged_again_and_fails_waits_no_longer(workspace: Workspace, table: pd.DataFrame) -> None:
    strict = with_spec(workspace, table, promotion={"gates": [IMPOSSIBLE]})
    rows = learning_rows(strict.project, strict.settings, day(45))
    second = workspace.registry.version("rides", 2)
    judged = record(strict, second, judge(strict, rows, second))

    assert judged.verdict == "FAIL"
    assert workspace.registry.challenger("rides") is None
    assert "everfresh.dismissed" in workspace.registry.version("rides", 2).tags


def test_what_was_let_into_production_keeps_the_verdict_that_let_it_in(
    workspace: Workspace, table: pd.DataFrame
) -> None:
    first, second = (workspace.registry.version("rides", number) for number in (1, 2))
    release(workspace, second, "it is better")
    strict = with_spec(workspace, table, promotion={"gates": [IMPOSSIBLE]})
    rows = learning_rows(strict.project, strict.settings, day(30))

    for version in (first, second):  # the former champion, and the champion itself
        current = workspace.registry.version("rides", version.version)
        verdict = judge(strict, rows, current)
        assert verdict.status == "FAIL"
        assert record(strict, current, verdict).verdict == "PASS"
    assert workspace.serving() == 2


def test_the_champion_judged_again_is_compared_with_no_champion_and_waits_for_nothing(workspace: Workspace) -> None:
    champion = workspace.registry.load_champion("rides")
    rows = learning_rows(workspace.project, workspace.settings, day(30))
    evidence = gather_evidence(workspace, rows, champion)
    judged = record(workspace, champion, judge(workspace, rows, champion))

    assert evidence.champion is None
    assert judged.aliases == ("champion",)
    assert workspace.registry.challenger("rides") == workspace.registry.version("rides", 2)


def test_a_champion_of_other_columns_answers_the_same_rows(workspace: Workspace, table: pd.DataFrame) -> None:
    wider = table.assign(wind=range(len(table)))
    version, verdict = train(with_spec(workspace, wider), day(60))

    assert "wind" in [column.name for column in workspace.bundle(version).manifest.columns]
    assert verdict.status == "PASS"
    assert "the champion's (version 1) is" in verdict.results[0].reason


def test_a_champion_whose_column_is_gone_is_no_reason_to_pass(workspace: Workspace, table: pd.DataFrame) -> None:
    _, verdict = train(with_spec(workspace, table.drop(columns="carrier")), day(60))

    assert verdict.status == "INSUFFICIENT"
    assert "the champion (version 1) could not answer the holdout" in verdict.reason
    assert "no column 'carrier'" in verdict.reason
    assert workspace.registry.challenger("rides") == workspace.registry.version("rides", 2)


def test_a_champion_of_other_classes_is_compared_on_all_of_them(workspace: Workspace, table: pd.DataFrame) -> None:
    grown = table.assign(late=table["late"].mask(table["carrier"] == "B6", "never"))
    changed = with_spec(workspace, grown)
    rows = learning_rows(changed.project, changed.settings, day(60))
    trials = [trial for order in orders(changed, rows) for trial in search_one(order)]
    version = make_challenger(changed, rows, trials)
    evidence = gather_evidence(changed, rows, version)

    assert evidence.classes == ("never", "no", "yes")
    assert evidence.champion is not None
    assert evidence.champion.answer is not None
    assert set(evidence.champion.answer[:, 0]) == {0.0}
    assert judge(changed, rows, version).status == "PASS"


def test_a_champion_whose_bundle_is_damaged_is_no_reason_to_pass(workspace: Workspace) -> None:
    bundle = workspace.bundle(workspace.registry.load_champion("rides"))
    (bundle.directory / "codes.json").write_text("{}")
    _, verdict = train(workspace, day(60))

    assert verdict.status == "INSUFFICIENT"
    assert "codes.json holds other bytes" in verdict.reason


class AwayRegistry(Registry):
    """Answers every question and gives no files."""

    def download_bundle(self, version: ModelVersion, directory: Path) -> Path:
        raise RegistryUnreachable("postgresql://db/mlflow", "it restarts")


def test_a_registry_that_is_away_says_nothing_about_the_champion(workspace: Workspace) -> None:
    second = workspace.registry.version("rides", 2)
    rows = learning_rows(workspace.project, workspace.settings, day(45))
    champion = workspace.bundle(workspace.registry.load_champion("rides"))
    shutil.rmtree(champion.directory)
    workspace.bundle(second)
    away = replace(workspace, registry=AwayRegistry(workspace.settings))

    with pytest.raises(RegistryUnreachable):
        judge(away, rows, second)


def test_only_what_a_gate_asks_for_is_measured(workspace: Workspace) -> None:
    rows = learning_rows(workspace.project, workspace.settings, day(45))
    evidence = gather_evidence(workspace, rows, workspace.registry.version("rides", 2))

    assert evidence.parity is not None
    assert evidence.parity <= 1e-9
    assert evidence.servable is None


def a_rejected_version(workspace: Workspace, table: pd.DataFrame) -> ModelVersion:
    strict = with_spec(workspace, table, promotion={"gates": [IMPOSSIBLE]})
    version, verdict = train(strict, day(60))
    assert not verdict.passed
    return version


def test_an_override_lets_a_version_serve_until_it_ends(workspace: Workspace, table: pd.DataFrame) -> None:
    rejected = a_rejected_version(workspace, table)
    decision = Override("Ada", "the fleet changed", NOW + timedelta(days=7))
    overridden = override_verdict(workspace, rejected, decision, NOW)

    assert overridden.verdict == "OVERRIDDEN"
    assert overridden.aliases == ("challenger",)
    assert overridden.verdict_reason.startswith(
        "Overridden by Ada until 2013-06-08 00:00 UTC: the fleet changed. The gates said: roc_auc is"
    )
    assert overridden.may_serve_at(NOW)
    assert not overridden.may_serve_at(NOW + timedelta(days=7))
    assert "OVERRIDDEN" in str(workspace.registry.read_text(overridden, "verdict.md"))


def test_an_override_that_has_ended_already_changes_nothing(workspace: Workspace, table: pd.DataFrame) -> None:
    rejected = a_rejected_version(workspace, table)
    judged = override_verdict(workspace, rejected, Override("Ada", "it is fine", NOW - timedelta(days=1)), NOW)

    assert judged.verdict == "FAIL"
    assert "The override by Ada ended at 2013-05-31 00:00 UTC" in judged.verdict_reason
    assert judged.aliases == ()


@pytest.mark.parametrize(("by", "why"), [("", "it is fine"), ("Ada", " ")])
def test_an_override_without_a_name_or_a_reason_is_none(by: str, why: str) -> None:
    with pytest.raises(InvalidOverride):
        Override(by, why, NOW)


def test_what_was_never_judged_cannot_be_overridden(make: Make) -> None:
    workspace = make(rides(days=30))
    rows = learning_rows(workspace.project, workspace.settings)
    trials = [trial for order in orders(workspace, rows) for trial in search_one(order)]
    version = make_challenger(workspace, rows, trials)

    with pytest.raises(UnreadableVerdict, match="rides v1 was never judged"):
        override_verdict(workspace, version, Override("Ada", "it is fine", NOW), NOW - timedelta(days=1))
