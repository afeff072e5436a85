from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

from everfresh.errors import DeployFailed, NoPrevious
from everfresh.evaluation.verdict import Override
from everfresh.loop.judgement import override_verdict
from everfresh.loop.permission import may_deploy
from everfresh.loop.release import bring_back, release, resume
from everfresh.loop.workspace import Workspace
from everfresh.registry.versions import ModelVersion
from everfresh.spec.promotion import PromotionSpec
from everfresh.testing.projects import day, open_in_memory, train, write_project
from everfresh.testing.targets import InMemoryTarget

NOW = datetime(2013, 6, 1, tzinfo=UTC)


def version(workspace: Workspace, number: int) -> ModelVersion:
    return workspace.registry.version("rides", number)


def serving(workspace: Workspace) -> list[int | None]:
    return [target.current("rides") for target in workspace.targets]


def aliases(workspace: Workspace) -> dict[str, int]:
    return {alias: each.version for each in workspace.registry.versions("rides") for alias in each.aliases}


@pytest.fixture
def two_places(workspace: Workspace) -> Workspace:
    """v1 serves at two places."""
    first = workspace.targets[0]
    second = InMemoryTarget("second")
    both = Workspace(workspace.project, workspace.settings, workspace.registry, (first, second))
    resume(both, NOW)
    return both


def second_target(workspace: Workspace) -> InMemoryTarget:
    target = workspace.targets[1]
    assert isinstance(target, InMemoryTarget)
    return target


def test_a_release_serves_everywhere_and_then_moves_the_aliases(two_places: Workspace) -> None:
    outcome = release(two_places, version(two_places, 2), "The data drifted.")

    assert (outcome.status, outcome.version, outcome.serving) == ("promoted", 2, 2)
    assert outcome.reason == "rides v2 serves: The data drifted."
    assert serving(two_places) == [2, 2]
    assert aliases(two_places) == {"champion": 2, "previous": 1}
    assert version(two_places, 2).tags["everfresh.promoted"] == "The data drifted."


def test_releasing_twice_is_releasing_once(two_places: Workspace) -> None:
    release(two_places, version(two_places, 2), "once")
    again = release(two_places, version(two_places, 2), "twice")

    assert (again.status, again.serving) == ("unchanged", 2)
    assert aliases(two_places) == {"champion": 2, "previous": 1}
    assert version(two_places, 2).tags["everfresh.promoted"] == "once"


def test_a_target_that_fails_leaves_the_aliases_and_all_targets_as_they_were(two_places: Workspace) -> None:
    second_target(two_places).fail_next_deploy("the disk is full")

    with pytest.raises(DeployFailed, match="the disk is full; v1 still serves"):
        release(two_places, version(two_places, 2), "it is better")
    assert serving(two_places) == [1, 1]
    assert aliases(two_places) == {"champion": 1, "challenger": 2}
    assert version(two_places, 2).promoted_at is None


def test_asking_again_completes_what_a_failure_left(two_places: Workspace) -> None:
    second_target(two_places).fail_next_deploy()
    with pytest.raises(DeployFailed):
        release(two_places, version(two_places, 2), "first try")

    assert release(two_places, version(two_places, 2), "second try").status == "promoted"
    assert serving(two_places) == [2, 2]


def test_a_release_that_died_before_the_alias_is_completed_by_the_next(two_places: Workspace) -> None:
    for target in two_places.targets:
        target.deploy("rides", 2, two_places.bundle(version(two_places, 2)).directory)
    assert aliases(two_places)["champion"] == 1

    assert release(two_places, version(two_places, 2), "again").status == "promoted"
    assert aliases(two_places)["champion"] == 2


def test_a_rollback_brings_the_champion_before_back_and_says_why_on_the_other(two_places: Workspace) -> None:
    release(two_places, version(two_places, 2), "it is better")
    previous = two_places.registry.to_roll_back_to("rides", None)
    outcome = bring_back(two_places, previous, "complaints.", NOW)

    assert (outcome.status, outcome.reason) == ("rolled_back", "rides v1 serves again: complaints.")
    assert serving(two_places) == [1, 1]
    assert aliases(two_places) == {"champion": 1}
    assert version(two_places, 2).tags["everfresh.demoted"] == "complaints."
    assert version(two_places, 2).was_rolled_back


def test_what_was_rolled_back_is_not_deployed_again_without_a_person(two_places: Workspace) -> None:
    release(two_places, version(two_places, 2), "it is better")
    bring_back(two_places, version(two_places, 1), "complaints", NOW)

    assert may_deploy(PromotionSpec(), version(two_places, 2), "", NOW).status == "waiting"
    assert may_deploy(PromotionSpec(), version(two_places, 2), "Ada", NOW).granted
    release(two_places, version(two_places, 2), "Ada looked into it")
    assert may_deploy(PromotionSpec(), version(two_places, 2), "", NOW).granted


def test_rolling_back_twice_goes_two_champions_back_and_then_no_further(workspace: Workspace) -> None:
    third, _ = train(workspace, day(60))
    for number in (2, third.version):
        release(workspace, version(workspace, number), "it is better")

    steps = []
    for _ in range(2):
        bring_back(workspace, workspace.registry.to_roll_back_to("rides", None), "complaints", NOW)
        steps.append(workspace.serving())
    assert steps == [2, 1]
    with pytest.raises(NoPrevious, match="no previous champion"):
        workspace.registry.to_roll_back_to("rides", None)


def test_bringing_back_what_serves_changes_nothing(workspace: Workspace) -> None:
    outcome = bring_back(workspace, version(workspace, 1), "nervousness", NOW)

    assert (outcome.status, outcome.serving) == ("unchanged", 1)
    assert aliases(workspace) == {"champion": 1, "challenger": 2}


def test_a_rollback_that_fails_leaves_all_as_it_was(two_places: Workspace) -> None:
    release(two_places, version(two_places, 2), "it is better")
    second_target(two_places).fail_next_deploy()

    with pytest.raises(DeployFailed):
        bring_back(two_places, version(two_places, 1), "complaints", NOW)
    assert serving(two_places) == [2, 2]
    assert aliases(two_places) == {"champion": 2, "previous": 1}


@pytest.fixture
def rejected(workspace: Workspace, table: pd.DataFrame) -> ModelVersion:
    """v3, to which a gate says no."""
    gates = [{"kind": "threshold", "metric": "roc_auc", "at_least": 0.9999}]
    file = write_project(workspace.project.directory, table, promotion={"gates": gates})
    judged, verdict = train(open_in_memory(file, workspace.settings, *workspace.targets), day(60))
    assert verdict.status == "FAIL"
    return judged


def test_a_version_that_may_not_serve_is_not_brought_back(workspace: Workspace, rejected: ModelVersion) -> None:
    outcome = bring_back(workspace, rejected, "why not", NOW)

    assert outcome.is_no
    assert "rides v3 may not serve: roc_auc is" in outcome.reason
    assert (outcome.version, outcome.serving) == (3, 1)
    assert serving(workspace) == [1]
    assert aliases(workspace) == {"champion": 1, "challenger": 2}


def test_an_override_that_ended_does_not_bring_a_version_back(workspace: Workspace, rejected: ModelVersion) -> None:
    until = NOW + timedelta(days=7)
    overridden = override_verdict(workspace, rejected, Override("Ada", "the fleet changed", until), NOW)
    release(workspace, overridden, "Ada")
    release(workspace, version(workspace, 2), "it is better")

    late = bring_back(workspace, version(workspace, 3), "complaints", until)
    assert (late.status, late.serving) == ("rejected", 2)
    assert "its override ended at 2013-06-08" in late.reason
    assert bring_back(workspace, version(workspace, 3), "complaints", NOW).status == "rolled_back"
    assert serving(workspace) == [3]


def test_after_a_restart_the_champion_serves_again(workspace: Workspace) -> None:
    workspace.targets[0].remove("rides")
    outcome = resume(workspace, NOW)

    assert outcome.status == "unchanged"
    assert serving(workspace) == [1]


def test_an_alias_that_somebody_moved_by_hand_is_not_served(workspace: Workspace, rejected: ModelVersion) -> None:
    workspace.registry.client.set_registered_model_alias("rides", "champion", str(rejected.version))
    outcome = resume(workspace, NOW)

    assert outcome.is_no
    assert "rides v3 may not serve" in outcome.reason
    assert serving(workspace) == [1]


def test_without_a_champion_there_is_nothing_to_resume(workspace: Workspace) -> None:
    workspace.registry.client.delete_registered_model_alias("rides", "champion")

    assert resume(workspace, NOW).status == "kept"
    assert "no champion yet" in resume(workspace, NOW).reason
