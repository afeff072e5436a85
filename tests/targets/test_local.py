from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from everfresh import process
from everfresh.errors import DeployFailed, NotServing, PortTaken
from everfresh.serving.client import Endpoint
from everfresh.serving.presence import hold, read_server
from everfresh.serving.versions.state import read_desired, read_workers, want_version
from everfresh.targets import local
from everfresh.targets.local import LocalTarget
from everfresh.testing.bundles import ExampleBundle, ExampleBundles, make_bundles

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> ExampleBundles:
    return make_bundles(tmp_path_factory.mktemp("bundles"))


@pytest.fixture
def target(tmp_path: Path) -> Iterator[LocalTarget]:
    """A server of its own: these tests kill it."""
    target = LocalTarget(free_port(), tmp_path)
    yield target
    target.stop()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalTarget]:
    """A server for the tests that do it no harm."""
    target = LocalTarget(free_port(), tmp_path_factory.mktemp("home"))
    yield target
    target.stop()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def supervisor_pid(target: LocalTarget) -> int:
    found = process.find(f"serving-{target.port}", target.root.parents[1])
    assert found is not None
    return found.pid


def server_pid(target: LocalTarget) -> int:
    server = read_server(target.root)
    assert server is not None
    return server.pid


def answers(target: LocalTarget, example: ExampleBundle, version: int) -> bool:
    prediction = target.predict(example.model, example.golden.columns)
    return prediction.version == version and example.golden.difference(prediction.answer) <= 1e-9


def wait_until(holds: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"waited for {seconds} s"
        time.sleep(0.02)


def test_asking_what_serves_starts_nothing(target: LocalTarget) -> None:
    assert target.current("delays") is None
    with pytest.raises(NotServing, match=rf"local:{target.port} does not serve 'delays'"):
        target.predict("delays", {"distance": [1.0]})
    target.remove("delays")
    assert not target.stop()
    assert not target.root.exists()


def test_a_taken_port_names_the_key_of_the_spec(target: LocalTarget, bundles: ExampleBundles) -> None:
    with (
        socket.create_server(("127.0.0.1", target.port)),
        pytest.raises(PortTaken, match=r"another program has it\. .* targets\[\]\.port"),
    ):
        target.deploy("delays", 1, bundles.first.directory)
    assert process.running_names(target.root.parents[1]) == ()


def test_a_port_that_is_taken_from_a_killed_server_names_the_key_of_the_spec(
    target: LocalTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What a killed server leaves behind: the supervisor has to find out by itself that somebody else has the port now.
    monkeypatch.setattr("everfresh.targets.local.last_server", lambda root: object())
    with socket.create_server(("127.0.0.1", target.port)), pytest.raises(PortTaken, match=r"targets\[\]\.port"):
        target.start()


def test_the_address_takes_requests(shared: LocalTarget, bundles: ExampleBundles) -> None:
    import httpx

    shared.deploy("fares", 3, bundles.other.directory)
    row = {"distance": ("FP64", 500.0), "stops": ("INT64", 1), "carrier": ("BYTES", "AA")}
    inputs = [{"name": name, "shape": [1], "datatype": kind, "data": [value]} for name, (kind, value) in row.items()]
    answer = httpx.post(shared.address("fares"), json={"inputs": inputs}, timeout=10).json()
    assert (answer["model_version"], answer["outputs"][0]["name"]) == ("3", "value")


def test_a_second_handle_of_another_process_sees_the_same_server(shared: LocalTarget, bundles: ExampleBundles) -> None:
    shared.deploy("delays", 1, bundles.first.directory)
    same = LocalTarget(shared.port, shared.root.parents[1])
    pid = server_pid(shared)
    same.deploy("delays", 1, bundles.first.directory)
    assert (same.current("delays"), server_pid(same)) == (1, pid)


def test_deploying_what_serves_does_not_touch_the_desired_state(shared: LocalTarget, bundles: ExampleBundles) -> None:
    shared.deploy("delays", 1, bundles.first.directory)
    before = read_desired(shared.root)
    shared.deploy("delays", 1, bundles.first.directory)
    assert read_desired(shared.root) == before


def test_only_the_bundles_that_one_goes_back_to_are_kept(shared: LocalTarget, bundles: ExampleBundles) -> None:
    for version, bundle in ((11, bundles.first), (12, bundles.second), (13, bundles.first)):
        shared.deploy("delays", version, bundle.directory)
    kept = {directory.name for directory in (shared.root / "models" / "delays").iterdir()}
    assert kept == {"12", "13"}
    shared.remove("delays")
    assert not list((shared.root / "models" / "delays").iterdir())


def test_a_version_that_cannot_be_loaded_gives_way_to_the_former_one(
    shared: LocalTarget, bundles: ExampleBundles, tmp_path: Path
) -> None:
    shared.deploy("delays", 1, bundles.first.directory)
    liar = lying_bundle(bundles.second.directory, tmp_path / "liar")
    with pytest.raises(DeployFailed, match=r"answers its golden rows with a difference of .* v1 still serves\."):
        shared.deploy("delays", 31, liar)
    assert answers(shared, bundles.first, 1)
    assert read_desired(shared.root).versions["delays"] == 1
    shared.deploy("delays", 31, bundles.second.directory)
    assert answers(shared, bundles.second, 31)


def test_a_deploy_that_was_killed_half_way_is_taken_back_by_the_next_one_that_fails(
    shared: LocalTarget, bundles: ExampleBundles
) -> None:
    shared.deploy("delays", 1, bundles.first.directory)
    want_version(shared.root, "delays", 99)
    with pytest.raises(DeployFailed, match=r"v1 still serves\."):
        shared.deploy("delays", 1, bundles.second.directory)
    assert read_desired(shared.root).versions["delays"] == 1


def test_a_deploy_that_was_killed_half_way_does_not_mislead_the_next_one(
    shared: LocalTarget, bundles: ExampleBundles, tmp_path: Path
) -> None:
    shared.deploy("delays", 1, bundles.first.directory)
    want_version(shared.root, "delays", 99)  # and nobody took it back
    assert shared.current("delays") == 1
    with pytest.raises(DeployFailed, match=r"v1 still serves\."):
        shared.deploy("delays", 21, lying_bundle(bundles.second.directory, tmp_path / "liar"))
    assert read_desired(shared.root).versions["delays"] == 1
    assert answers(shared, bundles.first, 1)


def test_an_interrupted_deploy_gives_way_to_the_former_version(
    shared: LocalTarget, bundles: ExampleBundles, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared.deploy("delays", 1, bundles.first.directory)
    waits: list[int] = []
    really_wait = local.wait_until_served

    def interrupted_once(root: Path, name: str, version: int, timeout: object) -> object:
        waits.append(version)
        if len(waits) == 1:
            raise KeyboardInterrupt
        return really_wait(root, name, version, timeout)  # type: ignore[arg-type]

    monkeypatch.setattr(local, "wait_until_served", interrupted_once)
    with pytest.raises(KeyboardInterrupt):
        shared.deploy("delays", 2, bundles.second.directory)
    assert answers(shared, bundles.first, 1)
    assert shared.current("delays") == 1


def test_a_deploy_waits_for_another_one_and_says_so_where_that_takes_too_long(
    shared: LocalTarget, bundles: ExampleBundles, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared.deploy("delays", 1, bundles.first.directory)
    monkeypatch.setattr(local, "_START_SECONDS", 0.1)
    monkeypatch.setattr(local, "_DEPLOY_SECONDS", 0.1)
    lock = hold(shared.root / ".deploy-delays.lock")
    assert lock is not None
    with lock, pytest.raises(DeployFailed, match=r"another deployment of it goes on; v1 still serves"):
        shared.deploy("delays", 2, bundles.second.directory)
    shared.deploy("delays", 2, bundles.second.directory)
    assert shared.current("delays") == 2


def test_requests_are_logged_where_monitoring_looks_and_forgotten_with_the_model(
    shared: LocalTarget, bundles: ExampleBundles
) -> None:
    shared.deploy("delays", 1, bundles.first.directory)
    with Endpoint(shared.url) as customer:
        customer.predict("delays", bundles.first.golden.columns)
        wait_until(lambda: any((shared.inference_root / "delays").rglob("*.parquet")))
        customer.predict("delays", bundles.first.golden.columns)  # not written yet when all is to be forgotten
    shared.forget("delays")
    time.sleep(1.5)
    assert not (shared.inference_root / "delays").exists()


def test_what_a_rollout_asks_is_no_traffic(shared: LocalTarget, bundles: ExampleBundles) -> None:
    shared.deploy("delays", 1, bundles.first.directory)
    shared.predict("delays", bundles.first.golden.columns)
    time.sleep(1.5)  # longer than the log waits
    assert not (shared.inference_root / "delays" / "log").exists()


def test_a_stopped_server_serves_everything_again_when_it_is_started(
    target: LocalTarget, bundles: ExampleBundles
) -> None:
    target.deploy("delays", 1, bundles.first.directory)
    target.deploy("fares", 4, bundles.other.directory)
    assert target.stop()
    assert (target.current("delays"), process.port_is_free(target.port)) == (None, True)
    assert not target.stop()
    target.start()
    assert answers(target, bundles.first, 1)
    assert answers(target, bundles.other, 4)


def test_a_deploy_after_the_server_was_killed_works(target: LocalTarget, bundles: ExampleBundles) -> None:
    target.deploy("delays", 1, bundles.first.directory)
    os.kill(server_pid(target), signal.SIGKILL)
    target.deploy("delays", 2, bundles.second.directory)
    assert target.current("delays") == 2
    assert answers(target, bundles.second, 2)


def test_what_serves_is_not_denied_while_a_killed_server_comes_back(
    target: LocalTarget, bundles: ExampleBundles
) -> None:
    target.deploy("delays", 1, bundles.first.directory)
    os.kill(server_pid(target), signal.SIGKILL)
    wait_until(lambda: read_server(target.root) is None)
    assert target.current("delays") == 1


def test_a_killed_supervisor_is_replaced_and_the_server_goes_on(target: LocalTarget, bundles: ExampleBundles) -> None:
    target.deploy("delays", 1, bundles.first.directory)
    server, supervisor = server_pid(target), supervisor_pid(target)
    os.kill(supervisor, signal.SIGKILL)
    wait_until(lambda: process.running_names(target.root.parents[1]) == ())
    assert answers(target, bundles.first, 1)
    target.deploy("delays", 2, bundles.second.directory)
    assert server_pid(target) == server
    assert supervisor_pid(target) != supervisor
    assert answers(target, bundles.second, 2)


def test_a_server_without_supervisor_is_stopped_too(target: LocalTarget, bundles: ExampleBundles) -> None:
    target.deploy("delays", 1, bundles.first.directory)
    os.kill(supervisor_pid(target), signal.SIGKILL)
    wait_until(lambda: process.running_names(target.root.parents[1]) == ())
    assert target.stop()
    assert read_server(target.root) is None
    assert process.port_is_free(target.port)


def test_a_deploy_after_everything_was_killed_brings_everything_back(
    target: LocalTarget, bundles: ExampleBundles
) -> None:
    target.deploy("delays", 1, bundles.first.directory)
    target.deploy("fares", 1, bundles.other.directory)
    workers = [worker.pid for worker in read_workers(target.root)]
    for pid in (supervisor_pid(target), server_pid(target), *workers):
        os.kill(pid, signal.SIGKILL)
    target.deploy("delays", 2, bundles.second.directory)
    assert answers(target, bundles.second, 2)
    assert answers(target, bundles.other, 1)


@pytest.mark.slow
def test_two_processes_that_deploy_at_once_end_in_one_of_the_two_versions(
    target: LocalTarget, bundles: ExampleBundles
) -> None:
    script = (
        "import sys; from pathlib import Path; from everfresh.targets.local import LocalTarget;"
        "port, home, version, bundle = sys.argv[1:];"
        "LocalTarget(int(port), Path(home)).deploy('delays', int(version), Path(bundle))"
    )
    home = str(target.root.parents[1])
    for _ in range(2):
        deploys = [
            subprocess.Popen(
                [sys.executable, "-c", script, str(target.port), home, version, str(bundle.directory)], cwd=CHECKOUT
            )
            for version, bundle in (("1", bundles.first), ("2", bundles.second))
        ]
        assert [deploy.wait(timeout=120) for deploy in deploys] == [0, 0]
        serving = target.current("delays")
        assert serving in (1, 2)
        assert answers(target, bundles.first if serving == 1 else bundles.second, serving)


def lying_bundle(bundle: Path, directory: Path) -> Path:
    """A bundle that is whole, and whose golden rows say something else than its model."""
    import hashlib
    import json
    import shutil
    from dataclasses import replace

    from everfresh.packaging.bundle import open_bundle
    from everfresh.packaging.golden import GoldenRows, read_golden
    from everfresh.packaging.manifest import manifest_bytes

    shutil.copytree(bundle, directory)
    opened = open_bundle(directory)
    golden = read_golden(opened)
    text = json.dumps(GoldenRows(golden.batch, 1.0 - golden.answer).to_json()).encode()
    files = {**opened.manifest.files, "golden.json": hashlib.sha256(text).hexdigest()}
    (directory / "golden.json").write_bytes(text)
    (directory / "bundle.json").write_bytes(manifest_bytes(replace(opened.manifest, files=files)))
    return directory
