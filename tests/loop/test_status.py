import json
from dataclasses import replace

import pytest

from everfresh.errors import EndpointUnreachable
from everfresh.loop.release import release
from everfresh.loop.status import status_of
from everfresh.loop.watch import check, write_latest
from everfresh.loop.workspace import Workspace
from everfresh.testing.projects import day
from everfresh.testing.targets import InMemoryTarget


class SilentTarget(InMemoryTarget):
    def current(self, model: str) -> int | None:
        raise EndpointUnreachable("http://10.0.0.7:8080", "it does not answer")


def test_a_status_says_what_is_registered_and_what_serves(workspace: Workspace) -> None:
    status = status_of(workspace)

    assert status.champion == "v1 logistic (PASS), trained through 2013-01-22, served compiled"
    assert status.challenger is not None
    assert status.challenger.startswith("v2 logistic (PASS)")
    assert status.previous is None
    assert status.in_step
    assert dict(status.lines()) == {
        "project": "rides",
        "champion": status.champion,
        "challenger": status.challenger,
        "previous": None,
        "memory": "v1 at memory://memory/rides",
        "last check": None,
    }
    assert json.loads(json.dumps(status.to_json()))["targets"][0]["version"] == 1


def test_a_target_that_cannot_be_asked_serves_nothing_that_is_known(workspace: Workspace) -> None:
    both = replace(workspace, targets=(*workspace.targets, SilentTarget("far")))
    status = status_of(both)

    assert [target.version for target in status.targets] == [1, None]
    assert not status.in_step
    assert status.lines()["far"] == "nothing at memory://far/rides"
    assert status.lines()["attention"] == "what serves is not the champion: `everfresh deploy rides --version 1`"


def test_what_serves_behind_the_registrys_back_is_noticed(workspace: Workspace) -> None:
    second = workspace.registry.version("rides", 2)
    workspace.targets[0].deploy("rides", 2, workspace.bundle(second).directory)

    assert not status_of(workspace).in_step
    release(workspace, second, "it is better")
    assert status_of(workspace).in_step


def test_before_the_first_training_there_is_a_status_all_the_same(make: object) -> None:
    status = status_of(make())  # type: ignore[operator]

    assert (status.champion, status.challenger, status.last_check) == (None, None, None)
    assert status.in_step


def test_the_last_check_is_in_the_status(workspace: Workspace) -> None:
    report = check(workspace, workspace.registry.load_champion("rides"), day(70))
    file = write_latest(workspace, report)

    assert status_of(workspace).last_check == f"2013-03-12 00:00 INSUFFICIENT: {report.reason}"
    file.write_text("{")
    assert status_of(workspace).last_check is None


@pytest.mark.parametrize("content", ["[]", "{}", '{"as_of": 3, "status": "OK", "reason": ""}'])
def test_a_report_that_is_none_is_no_reason_to_say_nothing(workspace: Workspace, content: str) -> None:
    file = workspace.settings.root / "reports" / "rides" / "monitoring.json"
    file.parent.mkdir(parents=True)
    file.write_text(content)

    assert status_of(workspace).last_check is None
