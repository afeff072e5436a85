from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from everfresh.targets.local import LocalTarget
from everfresh.testing.bundles import ExampleBundles, make_bundles
from everfresh.testing.targets import InMemoryTarget, MakeTarget, TargetConformance


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> ExampleBundles:
    return make_bundles(tmp_path_factory.mktemp("bundles"))


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def serving_nothing(target: LocalTarget, bundles: ExampleBundles) -> MakeTarget:
    """One server for all checks: what it serves is taken away before each."""
    for model in (bundles.first.model, bundles.other.model):
        target.remove(model)
    return lambda: target


@pytest.fixture(scope="module")
def one_worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalTarget]:
    target = LocalTarget(free_port(), tmp_path_factory.mktemp("home"))
    yield target
    target.stop()


@pytest.fixture(scope="module")
def two_workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalTarget]:
    target = LocalTarget(free_port(), tmp_path_factory.mktemp("home"), workers=2)
    yield target
    target.stop()


class TestInMemoryTarget(TargetConformance):
    @pytest.fixture
    def make_target(self) -> MakeTarget:
        return InMemoryTarget


class TestLocalTarget(TargetConformance):
    @pytest.fixture
    def make_target(self, one_worker: LocalTarget, bundles: ExampleBundles) -> MakeTarget:
        return serving_nothing(one_worker, bundles)


class TestLocalTargetWithTwoWorkers(TargetConformance):
    @pytest.fixture
    def make_target(self, two_workers: LocalTarget, bundles: ExampleBundles) -> MakeTarget:
        return serving_nothing(two_workers, bundles)


def test_the_checks_need_no_pytest() -> None:
    script = (
        "import sys; sys.modules['pytest'] = None; "
        "from everfresh.testing import targets; assert targets.TargetConformance"
    )
    checkout = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60, cwd=checkout)
