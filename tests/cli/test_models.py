from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from everfresh.settings import Settings
from everfresh.testing.flows import FlowsInMemory
from everfresh.testing.projects import day, rides, send_labels, serve, write_project

Run = Callable[..., Any]
Project = Callable[..., FlowsInMemory]

IMPOSSIBLE = {"gates": [{"kind": "threshold", "metric": "roc_auc", "at_least": 0.999}]}


def test_a_model_is_trained_deployed_and_rolled_back(run: Run, project: Project) -> None:
    project()
    trained = run("train", "rides", "--as-of", "2013-01-25")
    assert (trained.code, trained.out) == (0, "waiting  rides v1 may serve. All 2 gates passed.\n")

    deployed = run("deploy", "rides", "--json")
    assert deployed.code == 0
    assert json.loads(deployed.out) == {
        "status": "promoted", "reason": "rides v1 serves: All 2 gates passed.", "version": 1, "serving": 1,
        "cause": "All 2 gates passed",
    }  # fmt: skip

    nowhere = run("rollback", "rides")
    assert (nowhere.code, nowhere.out) == (1, "")
    assert nowhere.err.endswith("'rides' has no previous champion to go back to. Name a version with `--to`.\n")

    run("train", "rides", "--as-of", "2013-02-01T12:30")
    run("deploy", "rides", "--version", "2")
    back = run("rollback", "rides", "--reason", "complaints")
    assert (back.code, back.out) == (0, "rolled_back  rides v1 serves again: complaints.\n")
    assert run("deploy", "rides", "--version", "2").out.startswith("waiting  rides v2 was rolled back")
    assert run("deploy", "rides", "--version", "2", "--approved-by", "Ada").out.startswith("promoted")


def test_a_no_ends_with_3(run: Run, project: Project) -> None:
    project(promotion=IMPOSSIBLE)

    trained = run("train", "rides", "--json")
    assert trained.code == 3
    assert json.loads(trained.out)["status"] == "rejected"
    assert run("deploy", "rides", "--version", "1").code == 3
    assert run("rollback", "rides", "--to", "1").code == 3


def test_an_override_needs_a_version_a_name_a_reason_and_an_end(run: Run, project: Project) -> None:
    project(promotion=IMPOSSIBLE)
    run("train", "rides")
    whole = {"--version": "1", "--override-by": "Ada", "--why": "the fleet changed", "--until": "2999-01-01"}

    for left_out in whole:
        words = [word for option, value in whole.items() if option != left_out for word in (option, value)]
        ended = run("deploy", "rides", *words)
        assert ended.code == 2, left_out
        assert "an override needs --version, --override-by, --why, --until" in ended.err
        assert f"what is missing: {left_out}" in ended.err
    blank = run("deploy", "rides", "--version", "1", "--override-by", "Ada", "--why", " ", "--until", "2999-01-01")
    assert blank.code == 2

    overridden = run("deploy", "rides", *(word for option in whole.items() for word in option))
    assert overridden.code == 0
    assert overridden.out.startswith("promoted  rides v1 serves: Overridden by Ada until 2999-01-01")


def test_an_override_that_has_ended_is_a_no(run: Run, project: Project) -> None:
    project(promotion=IMPOSSIBLE)
    run("train", "rides")
    words = ("--version", "1", "--override-by", "Ada", "--why", "the fleet changed", "--until", "2013-01-01")
    ended = run("deploy", "rides", *words)

    assert ended.code == 3
    assert "The override by Ada ended at 2013-01-01 00:00 UTC" in ended.out


def test_an_approval_is_waited_for(run: Run, project: Project) -> None:
    project(promotion={"approval": "required"})
    run("train", "rides")

    waits = run("deploy", "rides")
    assert waits.code == 0
    assert waits.out.startswith("waiting  rides v1 passed its gates and waits for a person")
    assert run("deploy", "rides", "--approved-by", "Ada").out == (
        "promoted  rides v1 serves: All 2 gates passed, approved by Ada.\n"
    )


@pytest.mark.parametrize("shift", [False, True])
def test_an_alarm_ends_with_3(run: Run, project: Project, shift: bool) -> None:
    flows = project()
    run("train", "rides", "--as-of", "2013-01-25")
    run("deploy", "rides")
    traffic = rides(days=40, seed=3, longer_from=24 if shift else None)
    served = serve(flows.workspace, traffic[traffic["at"] >= day(25)], flows.workspace.registry.load_champion("rides"))
    send_labels(flows.workspace, served, day(40))

    report = run("monitor", "rides", "--as-of", "2013-02-09", "--json")
    assert (report.code, json.loads(report.out)["status"]) == ((3, "ALARM") if shift else (0, "OK"))
    said = run("monitor", "rides", "--as-of", "2013-02-09").out.splitlines()
    assert said[0] == f"{'ALARM' if shift else 'OK'}  rides v1, 2013-02-02 to 2013-02-09"
    retrain = run("retrain", "rides", "--as-of", "2013-02-09")
    assert retrain.code == 0
    assert retrain.out.startswith("promoted  rides v2 serves: The data drifted. " if shift else "kept  Nothing asks")


def test_force_retrains_whatever_the_policy_says(run: Run, project: Project) -> None:
    project()

    kept, forced = run("retrain", "rides"), run("retrain", "rides", "--force")
    assert kept.out.startswith("kept  'rides' has no champion yet.")
    assert forced.out.startswith("promoted  rides v1 serves: ")
    assert "asked for it by hand" in forced.out


def test_without_a_champion_there_is_nothing_to_watch_and_nothing_to_score(run: Run, project: Project) -> None:
    project()
    sentence = "'rides' has no champion yet. Run `everfresh train rides`, then `everfresh deploy rides`."

    watched = run("monitor", "rides")
    assert (watched.code, watched.out.strip()) == (0, f"kept  {sentence}")
    scored = run("score", "rides")
    assert (scored.code, scored.err.splitlines()[-1]) == (1, sentence)


def test_a_table_is_scored_from_the_folder_that_one_is_in(
    run: Run, project: Project, table: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project()
    run("train", "rides")
    run("deploy", "rides")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    table.head(5).to_csv("today.csv", index=False)

    scored = run("score", "rides", "--table", "today.csv", "--output", "answers.parquet")
    assert scored.out == f"5 rows scored by v1: {tmp_path / 'elsewhere' / 'answers.parquet'}\n"
    assert len(pd.read_parquet("answers.parquet")) == 5
    as_json = run("score", "rides", "--json")
    assert json.loads(as_json.out)["rows"] == len(table)
    missing = run("score", "rides", "--table", "nowhere.csv")
    assert missing.code == 1
    assert "No table at" in missing.err


def test_a_status_is_there_before_anything_is_trained(run: Run, project: Project) -> None:
    flows = project()
    empty, as_json = run("status", "rides"), run("status", "rides", "--json")
    assert (empty.code, as_json.code) == (0, 0)
    assert json.loads(as_json.out)["champion"] is None
    assert "champion    -\n" in empty.out

    run("train", "rides")
    flows.deploy("rides")
    # In memory it serves, at the spec's own target it does not.
    assert (
        "attention   what serves is not the champion: `everfresh deploy rides --version 1`"
        in run("status", "rides").out
    )


# --- a user's mistakes: a sentence, and never a traceback ----------------------------------------


@pytest.mark.parametrize("command", ["train", "deploy", "monitor", "retrain", "rollback", "score", "status"])
def test_a_project_that_is_not_there_is_said_with_the_one_that_is_meant(
    run: Run, place: Settings, command: str
) -> None:
    write_project(place.projects, rides(days=2))
    ended = run(command, "ridse")

    assert ended.code == 2
    assert ended.err == "No spec 'ridse'. Did you mean 'rides'? There are: rides.\n"


def test_a_spec_with_faults_is_not_trained(run: Run, project: Project) -> None:
    flows = project()
    flows.workspace.project.file.write_text("name: rides\ntask: guessing\n")
    ended = run("status", "rides")

    assert ended.code == 2
    assert "rides.yaml has" in ended.err
    assert "guessing" in ended.err


@pytest.mark.parametrize(
    ("values", "label", "sentence"),
    [
        ({"late": "yes"}, "late", "All 1,600 labels in 'late' are 'yes': a classifier needs two classes"),
        ({"minutes": "soon"}, "minutes", "'minutes' must hold numbers"),
        ({"at": "yesterday"}, "late", "1,600 values of the time column 'at' are no time, such as 'yesterday'"),
        ({"late": None}, "late", "has a label in 'late'"),
    ],
)
def test_a_table_that_cannot_be_learned_from_is_said_in_a_sentence(
    run: Run, project: Project, table: pd.DataFrame, values: dict[str, object], label: str, sentence: str
) -> None:
    project(table.assign(**values), label=label)
    ended = run("train", "rides")

    assert ended.code == 1
    assert sentence in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "No table at 'rides.csv'"),
        ("", "rides.csv' has no rows"),
        ("ride,at,distance,late\n", "has no rows"),
        ("ride,at,distance\n1,2013-01-01,3\n", "The table has no column 'late', which is the label"),
        ("ride;at;distance;late\n1;2013-01-01;3;yes\n", "set data.source.separator to ';'"),
    ],
)
def test_a_file_that_is_no_table_is_said_in_a_sentence(
    run: Run, project: Project, content: str | None, sentence: str
) -> None:
    flows = project()
    file = flows.workspace.project.directory / "rides.csv"
    file.unlink() if content is None else file.write_text(content)
    ended = run("train", "rides")

    assert ended.code == 1
    assert sentence in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize(
    ("uri", "sentence"),
    [
        ("http://127.0.0.1:9", "MLflow at http://127.0.0.1:9 cannot be reached"),
        ("nonsense://somewhere", "MLflow at nonsense://somewhere cannot be reached"),
        ("sqlite:////proc/nowhere/mlflow.db", "cannot be reached: No such file or directory"),
        ("postgresql://me:secret@127.0.0.1:9/mlflow", "MLflow at postgresql://me:***@127.0.0.1:9/mlflow cannot be"),
    ],
)
def test_a_registry_that_does_not_answer_is_said_in_a_sentence(
    run: Run, project: Project, monkeypatch: pytest.MonkeyPatch, uri: str, sentence: str
) -> None:
    project()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    ended = run("status", "rides")

    assert ended.code == 1
    assert sentence in ended.err
    assert "secret" not in ended.err
    assert "Traceback" not in ended.err


def test_a_setting_that_means_nothing_is_said_in_a_sentence(
    run: Run, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project()
    monkeypatch.setenv("EVERFRESH_PREFECT_PORT", "the usual one")
    ended = run("status", "rides")

    assert ended.code == 1
    assert ended.err.startswith("The variable EVERFRESH_PREFECT_PORT is 'the usual one'")


def test_labels_of_a_table_are_brought_back_once(run: Run, project: Project, tmp_path: Path) -> None:
    project()
    table = tmp_path / "labels.csv"
    pd.DataFrame({"id": ["r0-0", "elsewhere"], "label": ["yes", "no"]}).to_csv(table, index=False)
    first = run("labels", "rides", str(table))
    assert (first.code, first.out) == (0, "0 labels accepted; 2 of ids that were never served\n")
    assert json.loads(run("labels", "rides", str(table), "--json").out) == {
        "accepted": 0, "unknown": 2, "repeated": 0, "contradicted": 0, "missing": 0,
    }  # fmt: skip
