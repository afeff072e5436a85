from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from everfresh import process
from everfresh.cli.stack import months_table
from everfresh.replay.report import Month
from everfresh.settings import Settings
from everfresh.testing.flows import FlowsInMemory
from everfresh.testing.projects import rides, write_project

Run = Callable[..., Any]


def test_a_replay_that_would_remove_production_is_refused_before_anything_is_started(
    run: Run, project: Callable[..., FlowsInMemory], place: Settings
) -> None:
    flows = project()
    flows.train("rides")
    ended = run("run", "rides")

    assert ended.code == 1
    assert ended.err.startswith("'rides' has versions that no replay made (v1)")
    assert process.running_names(place.home) == ()


def test_a_project_that_is_not_there_is_not_replayed(run: Run, place: Settings) -> None:
    write_project(place.projects, rides(days=2))
    ended = run("run", "ridse")

    assert (ended.code, ended.err) == (2, "No spec 'ridse'. Did you mean 'rides'? There are: rides.\n")


def test_what_does_not_run_cannot_be_stopped(run: Run, place: Settings) -> None:
    ended = run("down")

    assert (ended.code, ended.err) == (0, "Nothing was running.\n")


@pytest.mark.parametrize("score", [0.7071, None])
def test_months_are_a_line_each(score: float | None) -> None:
    scores = {"roc_auc": {"served": score, "never_retrained": 0.5, "majority": 0.5}}
    month = Month("2013-03", 28_834, "DRIFT", (5, 1), 2, "The data drifted. " * 20, scores)
    head, line = months_table([month]).splitlines()

    assert head.split() == ["month", "rows", "drift", "serves", "roc_auc", "why"]
    figure = "0.707" if score else "-"
    assert line.startswith(f"2013-03  28,834  DRIFT  v2      {figure} / 0.500 / 0.500  The data drifted.")
    assert line.endswith("…")
    assert months_table([]) == "month  rows  drift  serves  why"
