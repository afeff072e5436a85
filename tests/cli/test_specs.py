from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from everfresh.settings import Settings
from everfresh.testing.projects import rides, write_project

THREE_FAULTS = """\
name: rides
task: clasification
data:
  source: {kind: csv, path: rides.csv}
  label: late
  labl_delay: 1d
monitoring: {schedule: "61 * * * *"}
"""

Run = Callable[..., Any]


def test_three_faults_are_all_said_at_once(run: Run, place: Settings) -> None:
    (place.projects / "rides.yaml").write_text(THREE_FAULTS)
    ended = run("check", "rides")

    assert ended.code == 2
    for line, wrong in ((2, "clasification"), (6, "labl_delay"), (7, "61")):
        assert wrong in ended.out
        assert f"line {line}" in ended.out
    assert ended.err == ""


def test_a_sound_spec_is_said_to_be_one(run: Run, place: Settings) -> None:
    file = write_project(place.projects, rides(days=2))
    ended = run("check")

    assert (ended.code, ended.out) == (0, f"{file}: no faults\n")


def test_faults_are_json_for_programs(run: Run, place: Settings) -> None:
    (place.projects / "rides.yaml").write_text(THREE_FAULTS)
    ended = run("check", "--json")
    (found,) = json.loads(ended.out)

    assert ended.code == 2
    assert len(found["faults"]) == 3


def test_a_spec_that_is_not_there_is_said(run: Run, place: Settings) -> None:
    write_project(place.projects, rides(days=2))
    ended = run("check", "ridse")

    assert ended.code == 2
    assert ended.err == "No spec 'ridse'. Did you mean 'rides'? There are: rides.\n"


def test_the_schema_is_json(run: Run) -> None:
    ended = run("schema")
    told = subprocess.run(
        [sys.executable, "-m", "json.tool"], input=ended.out, capture_output=True, text=True, check=True, timeout=30
    )

    assert {"name", "task", "data", "promotion"} <= json.loads(told.stdout)["properties"].keys()


def test_targets_say_what_they_can_do(run: Run) -> None:
    text, content = run("targets").out.splitlines(), json.loads(run("targets", "--json").out)

    assert text[0].split() == ["target", "all_at_once", "blue_green", "canary", "shadow"]
    assert text[1].split()[:2] == ["local", "yes"]
    assert content["local"] == ["all_at_once"]
