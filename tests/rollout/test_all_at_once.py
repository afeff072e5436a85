from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from everfresh.errors import DeployFailed, ReadBackFailed, TargetError
from everfresh.rollout.all_at_once import roll_out
from everfresh.targets.protocol import Prediction
from everfresh.testing.bundles import ExampleBundles, make_bundles
from everfresh.testing.targets import InMemoryTarget

MODEL = "delays"


class WrongTarget(InMemoryTarget):
    """Deploys as it must, and answers a little off."""

    def predict(self, model: str, columns: Mapping[str, Sequence[object]]) -> Prediction:
        answered = super().predict(model, columns)
        return Prediction(answered.answer + 1e-3, answered.version)


class StaleTarget(InMemoryTarget):
    """Says that the new version serves, and answers with the old one."""

    def predict(self, model: str, columns: Mapping[str, Sequence[object]]) -> Prediction:
        return Prediction(super().predict(model, columns).answer, 1)


class CountingTarget(InMemoryTarget):
    deploys = 0

    def deploy(self, model: str, version: int, bundle: Path) -> None:
        super().deploy(model, version, bundle)
        self.deploys += 1


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> ExampleBundles:
    return make_bundles(tmp_path_factory.mktemp("bundles"))


def fetcher(bundles: ExampleBundles) -> Mapping[int, Path]:
    return {1: bundles.first.directory, 2: bundles.second.directory}


def roll_out_first(targets: Sequence[InMemoryTarget], bundles: ExampleBundles) -> None:
    roll_out(targets, MODEL, 1, fetcher(bundles).__getitem__, bundles.first.golden)


def roll_out_second(targets: Sequence[InMemoryTarget], bundles: ExampleBundles) -> None:
    roll_out(targets, MODEL, 2, fetcher(bundles).__getitem__, bundles.second.golden)


def test_every_target_serves_the_version(bundles: ExampleBundles) -> None:
    targets = [InMemoryTarget("a"), InMemoryTarget("b")]
    roll_out_first(targets, bundles)
    roll_out_second(targets, bundles)
    assert [target.current(MODEL) for target in targets] == [2, 2]
    assert [target.predict(MODEL, bundles.second.golden.columns).version for target in targets] == [2, 2]


def test_asking_twice_changes_nothing(bundles: ExampleBundles) -> None:
    target = CountingTarget()
    for _ in range(2):
        roll_out_first([target], bundles)
    assert (target.current(MODEL), target.deploys) == (1, 1)


def test_no_target_is_no_work(bundles: ExampleBundles) -> None:
    roll_out_first([], bundles)


def test_where_the_second_target_fails_the_first_is_restored(bundles: ExampleBundles) -> None:
    first, second = InMemoryTarget("first"), InMemoryTarget("second")
    roll_out_first([first, second], bundles)
    second.fail_next_deploy("its disk is full")
    with pytest.raises(DeployFailed, match=r"not deployed to second: its disk is full; v1 still serves"):
        roll_out_second([first, second], bundles)
    assert [target.current(MODEL) for target in (first, second)] == [1, 1]
    assert bundles.first.golden.difference(first.predict(MODEL, bundles.first.golden.columns).answer) <= 1e-9


def test_where_nothing_served_before_nothing_serves_after_a_failure(bundles: ExampleBundles) -> None:
    first, second = InMemoryTarget("first"), InMemoryTarget("second")
    second.fail_next_deploy()
    with pytest.raises(DeployFailed, match="nothing served before"):
        roll_out_first([first, second], bundles)
    assert [target.current(MODEL) for target in (first, second)] == [None, None]


def test_targets_that_served_different_versions_get_their_own_back(bundles: ExampleBundles) -> None:
    targets = [InMemoryTarget("old"), InMemoryTarget("new"), InMemoryTarget("empty"), InMemoryTarget("last")]
    targets[0].deploy(MODEL, 1, bundles.first.directory)
    targets[1].deploy(MODEL, 2, bundles.second.directory)
    targets[3].fail_next_deploy()
    with pytest.raises(DeployFailed):
        roll_out_second(targets, bundles)
    assert [target.current(MODEL) for target in targets] == [1, 2, None, None]


@pytest.mark.parametrize(
    ("target", "why"),
    [(WrongTarget("far"), r"its answers differ by 0\.001"), (StaleTarget("far"), "v1 answered")],
)
def test_a_target_that_does_not_answer_as_it_must_is_a_failure(
    bundles: ExampleBundles, target: InMemoryTarget, why: str
) -> None:
    near = InMemoryTarget("near")
    for each in (near, target):
        each.deploy(MODEL, 1, bundles.first.directory)
    with pytest.raises(ReadBackFailed, match=f"delays v2 on far does not answer as it must: {why}"):
        roll_out_second([near, target], bundles)
    assert [each.current(MODEL) for each in (near, target)] == [1, 1]


def test_a_target_that_serves_the_version_already_is_read_back_all_the_same(bundles: ExampleBundles) -> None:
    target = WrongTarget()
    target.deploy(MODEL, 2, bundles.second.directory)
    with pytest.raises(ReadBackFailed):
        roll_out_second([target], bundles)
    assert target.current(MODEL) == 2


def test_restoring_that_fails_hides_neither_the_first_error_nor_the_other_targets(
    bundles: ExampleBundles, caplog: pytest.LogCaptureFixture
) -> None:
    class StuckTarget(InMemoryTarget):
        """Changes once more and then never again."""

        def deploy(self, model: str, version: int, bundle: Path) -> None:
            if self.current(model) == 2:
                raise OSError("the disk is gone")
            super().deploy(model, version, bundle)

    targets = [InMemoryTarget("first"), StuckTarget("stuck"), InMemoryTarget("last")]
    roll_out_first(targets, bundles)
    targets[2].fail_next_deploy("its disk is full")
    with caplog.at_level(logging.ERROR), pytest.raises(TargetError, match="deployed to last: its disk is full"):
        roll_out_second(targets, bundles)
    assert [target.current(MODEL) for target in targets] == [1, 2, 1]
    errors = [record.message for record in caplog.records if record.levelno >= logging.ERROR]
    assert errors == ["delays could not be restored on stuck: the disk is gone"]


def test_a_bundle_that_cannot_be_fetched_changes_nothing(bundles: ExampleBundles) -> None:
    target = InMemoryTarget()
    roll_out_first([target], bundles)
    with pytest.raises(KeyError):
        roll_out([target], MODEL, 3, fetcher(bundles).__getitem__, bundles.second.golden)
    assert target.current(MODEL) == 1


def test_ctrl_c_restores_as_an_error_does(bundles: ExampleBundles) -> None:
    class InterruptedTarget(InMemoryTarget):
        def deploy(self, model: str, version: int, bundle: Path) -> None:
            raise KeyboardInterrupt

    first = InMemoryTarget("first")
    roll_out_first([first], bundles)
    with pytest.raises(KeyboardInterrupt):
        roll_out_second([first, InterruptedTarget("second")], bundles)
    assert first.current(MODEL) == 1
