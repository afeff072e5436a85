"""The checks themselves: a target that breaks one promise must fail the check of that promise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from everfresh.errors import DeployFailed, TargetError
from everfresh.targets.protocol import Prediction
from everfresh.testing.bundles import ExampleBundles, make_bundles
from everfresh.testing.targets import InMemoryTarget, TargetConformance


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> ExampleBundles:
    return make_bundles(tmp_path_factory.mktemp("bundles"))


class ImpreciseTarget(InMemoryTarget):
    def predict(self, model: str, columns: Mapping[str, Sequence[object]]) -> Prediction:
        answered = super().predict(model, columns)
        return Prediction(answered.answer.astype("float32").astype("float64"), answered.version)


class DroppingTarget(InMemoryTarget):
    """Takes the former version away before it knows whether the new one is sound."""

    def deploy(self, model: str, version: int, bundle: Path) -> None:
        former = self.current(model)
        self.remove(model) if former != version else None
        try:
            super().deploy(model, version, bundle)
        except DeployFailed as error:
            raise DeployFailed(model, version, self.name, str(error), former) from error


class TargetOfOneModel(InMemoryTarget):
    def deploy(self, model: str, version: int, bundle: Path) -> None:
        super().deploy(model, version, bundle)
        for other in {"delays", "fares"} - {model}:
            self.remove(other)


class ForgetfulTarget(InMemoryTarget):
    """Goes on with the first content of a version."""

    def remove(self, model: str) -> None:
        pass


class OverconfidentTarget(InMemoryTarget):
    """Says that the newest version serves that anyone asked for."""

    def __init__(self) -> None:
        super().__init__()
        self._asked: dict[str, int] = {}

    def deploy(self, model: str, version: int, bundle: Path) -> None:
        self._asked[model] = version
        super().deploy(model, version, bundle)

    def current(self, model: str) -> int | None:
        return self._asked.get(model)


@pytest.mark.parametrize(
    ("target", "check"),
    [
        (ImpreciseTarget, "test_it_answers_as_the_fitted_pipeline"),
        (DroppingTarget, "test_a_failed_deploy_leaves_the_former_version_serving"),
        (TargetOfOneModel, "test_two_models_serve_side_by_side"),
        (ForgetfulTarget, "test_removing_twice_is_quiet"),
        (OverconfidentTarget, "test_a_failed_first_deploy_leaves_nothing_serving"),
    ],
)
def test_a_broken_promise_is_found(target: type[InMemoryTarget], check: str, bundles: ExampleBundles) -> None:
    with pytest.raises((AssertionError, TargetError)):
        getattr(TargetConformance(), check)(target, bundles)
    getattr(TargetConformance(), check)(InMemoryTarget, bundles)


def test_every_check_can_be_run_without_a_test_runner(bundles: ExampleBundles) -> None:
    checks = [getattr(TargetConformance(), name) for name in dir(TargetConformance) if name.startswith("test_")]
    for check in checks:
        check(InMemoryTarget, bundles)
    assert len(checks) >= 15
