"""A target in memory, and the checks that every target must pass.

The test file of a target is two fixtures and a class without a body:

    @pytest.fixture(scope="module")
    def bundles(tmp_path_factory): return make_bundles(tmp_path_factory.mktemp("bundles"))

    @pytest.fixture
    def make_target(): return lambda: MyTarget(...)      # one that serves nothing yet

    class TestMyTarget(TargetConformance): ...
"""

# ruff: noqa: D102 - the name of each check is its sentence

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from everfresh.errors import BundleError, DeployFailed, EndpointRefused, EverfreshError, NotServing
from everfresh.packaging.bundle import open_bundle
from everfresh.packaging.golden import read_golden
from everfresh.packaging.manifest import Manifest
from everfresh.packaging.scorer import Scorer, open_scorer
from everfresh.serving.questions.decoding import RowReader
from everfresh.serving.refusals import Refusal
from everfresh.targets.protocol import Prediction, Target
from everfresh.testing.bundles import ExampleBundle, ExampleBundles

TOLERANCE = 1e-9
UNMISTAKABLE = 0.1

MakeTarget = Callable[[], Target]
_Refused = TypeVar("_Refused", bound=EverfreshError)


class InMemoryTarget:
    """Serves bundles in this process, with the scorers and the checks of a real server and nothing else.

    Args:
        name: how it is called in messages.
        inference_root: where an inference log would lie; it writes none.
    """

    def __init__(self, name: str = "memory", inference_root: Path | None = None) -> None:
        self._name = name
        self._inference_root = inference_root or Path(tempfile.gettempdir()) / "everfresh-no-log"
        self._served: dict[str, tuple[int, Manifest, Scorer, RowReader]] = {}
        self._next_failure: str | None = None

    @property
    def name(self) -> str:
        """How the target is called in messages."""
        return self._name

    @property
    def rollouts(self) -> frozenset[str]:
        """The kinds of rollout that it can do."""
        return frozenset({"all_at_once"})

    @property
    def inference_root(self) -> Path:
        """Where an inference log would lie."""
        return self._inference_root

    def fail_next_deploy(self, why: str = "it was told to fail") -> None:
        """Let the next deployment that would change something fail."""
        self._next_failure = why

    def address(self, model: str) -> str:
        """Where requests for the model would go."""
        return f"memory://{self._name}/{model}"

    def deploy(self, model: str, version: int, bundle: Path) -> None:
        """Let the version serve.

        Raises:
            DeployFailed: it was told to fail, or the bundle is damaged, another one, or another model's.
        """
        try:
            opened = open_bundle(bundle)
            manifest, scorer, golden = opened.manifest, open_scorer(opened), read_golden(opened)
        except BundleError as error:
            raise self._failure(model, version, str(error)) from error
        if manifest.name != model:
            raise self._failure(model, version, f"the bundle is about {manifest.name!r}")
        if self.current(model) == version:
            if self._served[model][1].digest != manifest.digest:
                raise self._failure(model, version, "that version serves with another content")
            return
        if self._next_failure is not None:
            why, self._next_failure = self._next_failure, None
            raise self._failure(model, version, why)
        if golden.difference(scorer.score(golden.batch)) > TOLERANCE:
            raise self._failure(model, version, "it does not answer its golden rows")
        self._served[model] = (version, manifest, scorer, RowReader(manifest))

    def current(self, model: str) -> int | None:
        """The version that answers, or None."""
        served = self._served.get(model)
        return served[0] if served is not None else None

    def predict(self, model: str, columns: Mapping[str, Sequence[object]]) -> Prediction:
        """Answers for rows, given by column.

        Raises:
            NotServing: there is no such model.
            EndpointRefused: the rows are not what the model reads.
        """
        if model not in self._served:
            raise NotServing(model, self._name)
        version, _, scorer, reader = self._served[model]
        try:
            rows = reader.read({name: _plain(values) for name, values in columns.items()})
        except Refusal as refusal:
            raise EndpointRefused(self.address(model), refusal.status, refusal.code, str(refusal)) from refusal
        return Prediction(scorer.score(rows.batch), version)

    def remove(self, model: str) -> None:
        """Stop serving the model; quiet where it does not."""
        self._served.pop(model, None)

    def forget(self, model: str) -> None:
        """As `remove`: it keeps no log."""
        self.remove(model)

    def _failure(self, model: str, version: int, why: str) -> DeployFailed:
        return DeployFailed(model, version, self._name, why.rstrip("."), self.current(model))


class TargetConformance:
    """What every target must do. `make_target` gives one that serves nothing; `bundles` are those of `make_bundles`."""

    def test_it_says_what_it_is(self, make_target: MakeTarget, bundles: ExampleBundles) -> None:
        target = make_target()
        _check(bool(target.name), "a target has a name")
        _check(bundles.first.model in target.address(bundles.first.model), "the address names the model")
        _check("all_at_once" in target.rollouts, "every target can roll out all at once")

    def test_it_serves_nothing_before_the_first_deploy(self, make_target: MakeTarget, bundles: ExampleBundles) -> None:
        target, model = make_target(), bundles.first.model
        _check_current(target, model, None)
        _check_not_serving(target, bundles.first)
        target.remove(model)

    def test_it_answers_as_the_fitted_pipeline(self, make_target: MakeTarget, bundles: ExampleBundles) -> None:
        target = make_target()
        target.deploy(bundles.first.model, 1, bundles.first.directory)
        _check_answers(target, bundles.first, version=1)

    def test_a_regression_answers_one_value_a_row(self, make_target: MakeTarget, bundles: ExampleBundles) -> None:
        target = make_target()
        target.deploy(bundles.other.model, 5, bundles.other.directory)
        _check_answers(target, bundles.other, version=5)

    def test_deploying_twice_is_deploying_once(self, make_target: MakeTarget, bundles: ExampleBundles) -> None:
        target = make_target()
        for _ in range(2):
            target.deploy(bundles.first.model, 1, bundles.first.directory)
        _check_current(target, bundles.first.model, 1)
        _check_answers(target, bundles.first, version=1)

    def test_a_new_version_takes_over_and_the_old_one_comes_back(
        self, make_target: MakeTarget, bundles: ExampleBundles
    ) -> None:
        target, model = make_target(), bundles.first.model
        apart = bundles.first.golden.difference(bundles.second.answer)
        _check(apart > UNMISTAKABLE, "the example bundles must differ, or a mix-up would not show")
        for version, bundle in ((1, bundles.first), (2, bundles.second), (1, bundles.first)):
            target.deploy(model, version, bundle.directory)
            _check_current(target, model, version)
            _check_answers(target, bundle, version=version)

    def test_a_failed_deploy_leaves_the_former_version_serving(
        self, make_target: MakeTarget, bundles: ExampleBundles
    ) -> None:
        target, model = make_target(), bundles.first.model
        target.deploy(model, 1, bundles.first.directory)
        error = _raised(DeployFailed, lambda: target.deploy(model, 2, bundles.damaged))
        _check("v1 still serves" in str(error), f"the error says what still serves; it says: {error}")
        _check(target.name in str(error), f"the error names the target; it says: {error}")
        _check_current(target, model, 1)
        _check_answers(target, bundles.first, version=1)

    def test_a_failed_first_deploy_leaves_nothing_serving(
        self, make_target: MakeTarget, bundles: ExampleBundles
    ) -> None:
        target, model = make_target(), bundles.second.model
        error = _raised(DeployFailed, lambda: target.deploy(model, 2, bundles.damaged))
        _check("nothing" in str(error), f"the error says that nothing serves; it says: {error}")
        _check_current(target, model, None)
        _check_not_serving(target, bundles.second)

    def test_a_failed_deploy_can_be_done_again_with_a_sound_bundle(
        self, make_target: MakeTarget, bundles: ExampleBundles
    ) -> None:
        target, model = make_target(), bundles.second.model
        _raised(DeployFailed, lambda: target.deploy(model, 2, bundles.damaged))
        target.deploy(model, 2, bundles.second.directory)
        _check_answers(target, bundles.second, version=2)

    def test_a_version_never_changes_its_content(self, make_target: MakeTarget, bundles: ExampleBundles) -> None:
        target, model = make_target(), bundles.first.model
        target.deploy(model, 1, bundles.first.directory)
        _raised(DeployFailed, lambda: target.deploy(model, 1, bundles.second.directory))
        _check_answers(target, bundles.first, version=1)

    def test_a_bundle_of_another_model_is_refused(self, make_target: MakeTarget, bundles: ExampleBundles) -> None:
        target = make_target()
        _raised(DeployFailed, lambda: target.deploy(bundles.first.model, 1, bundles.other.directory))
        _check_current(target, bundles.first.model, None)
        _check_current(target, bundles.other.model, None)

    def test_two_models_serve_side_by_side(self, make_target: MakeTarget, bundles: ExampleBundles) -> None:
        target = make_target()
        target.deploy(bundles.first.model, 1, bundles.first.directory)
        target.deploy(bundles.other.model, 1, bundles.other.directory)
        _check_answers(target, bundles.first, version=1)
        _check_answers(target, bundles.other, version=1)
        target.remove(bundles.first.model)
        _check_not_serving(target, bundles.first)
        _check_answers(target, bundles.other, version=1)

    def test_removing_twice_is_quiet(self, make_target: MakeTarget, bundles: ExampleBundles) -> None:
        target, model = make_target(), bundles.first.model
        target.deploy(model, 1, bundles.first.directory)
        for _ in range(2):
            target.remove(model)
            _check_current(target, model, None)
        _check_not_serving(target, bundles.first)

    def test_what_was_removed_can_be_deployed_again(self, make_target: MakeTarget, bundles: ExampleBundles) -> None:
        target, model = make_target(), bundles.first.model
        target.deploy(model, 1, bundles.first.directory)
        target.remove(model)
        target.deploy(model, 1, bundles.second.directory)
        _check_answers(target, bundles.second, version=1)

    def test_rows_that_the_model_cannot_read_are_refused(
        self, make_target: MakeTarget, bundles: ExampleBundles
    ) -> None:
        target, model = make_target(), bundles.first.model
        target.deploy(model, 1, bundles.first.directory)
        columns = dict(bundles.first.golden.columns)
        lacking = next(iter(columns))
        del columns[lacking]
        error = _raised(EverfreshError, lambda: target.predict(model, columns))
        _check(lacking in str(error), f"the error names the column {lacking!r}; it says: {error}")
        _check_answers(target, bundles.first, version=1)


def _check(holds: bool, promise: str) -> None:
    """An assertion of its own, so that it holds under `python -O` and reads as a promise where it fails."""
    if not holds:
        raise AssertionError(promise)


def _check_current(target: Target, model: str, version: int | None) -> None:
    found = target.current(model)
    _check(found == version, f"{target.name} should serve version {version} of {model!r}, and says {found}")


def _check_answers(target: Target, example: ExampleBundle, *, version: int) -> None:
    """The target answers the golden rows with that version, as the fitted pipeline does in this process."""
    prediction = target.predict(example.model, example.golden.columns)
    _check(prediction.version == version, f"version {version} should answer, and version {prediction.version} did")
    _check(
        prediction.answer.shape == example.answer.shape,
        f"an answer of the shape {example.answer.shape} is due, and {prediction.answer.shape} came",
    )
    difference = example.golden.difference(prediction.answer)
    _check(difference <= TOLERANCE, f"the answers differ by {difference:.2g} from those of the fitted pipeline")


def _check_not_serving(target: Target, example: ExampleBundle) -> None:
    _raised(NotServing, lambda: target.predict(example.model, example.golden.columns))


def _raised(kind: type[_Refused], call: Callable[[], object]) -> _Refused:
    try:
        call()
    except kind as error:
        return error
    raise AssertionError(f"{kind.__name__} should have been raised, and nothing was")


def _plain(values: Sequence[Any]) -> list[Any]:
    """Values as they come off a wire: None for a missing one, Python's own numbers for numpy's."""
    scalars = (value.item() if hasattr(value, "item") else value for value in values)
    return [None if value is None or value != value else value for value in scalars]
