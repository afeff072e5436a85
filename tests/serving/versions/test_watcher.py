"""Swapping versions under load, and versions that must never be swapped in."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import shutil
import threading
import time
from datetime import timedelta

import httpx
import numpy as np
import pytest

from everfresh.packaging.bundle import open_bundle
from everfresh.packaging.manifest import manifest_bytes
from everfresh.serving.versions.state import (
    bundle_directory,
    convergence,
    install_bundle,
    wait_until_served,
    want_removed,
    want_version,
)

PATIENCE = timedelta(seconds=15)


def served_version(server, name="flights"):
    return {model["name"]: model["version"] for model in server.get("/v2/models").json()["models"]}.get(name)


class Asking:
    """Clients that ask all the time, each on its own connection, and what came of it."""

    def __init__(self, url, body, clients):
        self._stopping = threading.Event()
        self.answers = []
        self.failures = []
        self._threads = [threading.Thread(target=self._ask, args=(url, body)) for _ in range(clients)]

    def _ask(self, url, body):
        with httpx.Client(base_url=url, timeout=10) as client:
            while not self._stopping.is_set():
                try:
                    response = client.post("/v2/models/flights/infer", content=body)
                    response.raise_for_status()
                    content = response.json()
                    self.answers.append((content["model_version"], tuple(content["outputs"][0]["data"])))
                except Exception as failure:
                    self.failures.append(failure)

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *failure):
        self._stopping.set()
        for thread in self._threads:
            thread.join(15)


def swap_while_asked(server, plain, v1, v2, features, swaps):
    tensors = [{"name": name, "data": values[:5]} for name, values in plain.items()]
    body = json.dumps({"inputs": tensors, "outputs": [{"name": "probabilities"}]})
    with Asking(server.url, body, clients=8) as asking:
        for swap in range(swaps):
            version = 2 - swap % 2
            want_version(server.root, "flights", version)
            swapped = wait_until_served(server.root, "flights", version, PATIENCE)
            assert swapped.served, swapped.reason
            time.sleep(0.02)
    assert asking.failures == []
    answers = set(asking.answers)
    assert {version for version, _ in answers} == {"1", "2"}
    for version, answer in answers:
        expected = {"1": v1, "2": v2}[version].answer(features.head(5)).reshape(-1)
        np.testing.assert_allclose(answer, expected, rtol=0, atol=1e-12)


def test_a_swap_fails_no_request_and_every_answer_is_its_versions(serve, root, plain, v1, v2, features):
    swap_while_asked(serve(root), plain, v1, v2, features, swaps=6)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_two_hundred_swaps_under_load_fail_no_request(serve, root, plain, v1, v2, features, workers):
    swap_while_asked(serve(root, workers=workers), plain, v1, v2, features, swaps=200)


def flip_a_byte(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def forge(directory, file, content):
    """Change a file and the manifest with it: what a bundle is whose packing went wrong, not its disk."""
    manifest = open_bundle(directory).manifest
    (directory / file).write_bytes(content)
    files = {**manifest.files, file: hashlib.sha256(content).hexdigest()}
    (directory / "bundle.json").write_bytes(manifest_bytes(dataclasses.replace(manifest, files=files)))


def other_golden_rows(directory):
    golden = json.loads((directory / "golden.json").read_bytes())
    golden["answer"][0] = golden["answer"][0][::-1]
    forge(directory, "golden.json", json.dumps(golden).encode())


def no_onnx_at_all(directory):
    forge(directory, "model.onnx", b"not a model")


def another_name(directory):
    renamed = dataclasses.replace(open_bundle(directory).manifest, name="other")
    (directory / "bundle.json").write_bytes(manifest_bytes(renamed))


@pytest.fixture(scope="module")
def quiet(start_shared, tmp_path_factory, v1, v2, eventually):
    """A server of version 1, for tests that leave it as they found it."""
    root = tmp_path_factory.mktemp("quiet") / "root"
    install_bundle(root, v1.bundle, version=1)
    want_version(root, "flights", 1)
    server = start_shared(root)
    assert wait_until_served(root, "flights", 1, PATIENCE).served
    eventually(lambda: server.get("/v2/health/ready").status_code == 200)
    return server


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda directory: flip_a_byte(directory / "model.onnx"), "model.onnx holds other bytes than"),
        (lambda directory: flip_a_byte(directory / "bundle.json"), "bundle.json"),
        (lambda directory: (directory / "golden.json").unlink(), "golden.json cannot be read"),
        (lambda directory: (directory / "bundle.json").unlink(), "There is no bundle in"),
        (lambda directory: (directory / "extra.py").write_text("x"), "extra.py is not listed"),
        (other_golden_rows, "answers its golden rows with a difference of"),
        (no_onnx_at_all, "model.onnx|ONNX|Protobuf|protobuf"),
        (another_name, "says 'other' version 2, where 'flights' version 2 should be"),
    ],
    ids=["plan", "manifest", "golden gone", "manifest gone", "extra file", "golden differ", "no model", "name"],
)
def test_a_bundle_that_is_not_as_it_must_be_is_never_swapped_in(quiet, damage, reason, v1, v2, features, plain):
    server = quiet
    directory = bundle_directory(server.root, "flights", 2)
    install_bundle(server.root, v2.bundle, version=2)
    damage(directory)
    try:
        want_version(server.root, "flights", 2)
        refused = wait_until_served(server.root, "flights", 2, PATIENCE)
        assert not refused.served
        assert re.search(reason, refused.reason)
        assert not convergence(server.root, "flights", 2).served
        answer = server.post("/invocations", json={"inputs": plain, "params": {"probabilities": True}})
        assert answer.headers["x-model-version"] == "1"
        np.testing.assert_allclose(answer.json()["predictions"], v1.answer(features), rtol=0, atol=1e-12)
        assert server.get("/v2/health/ready").status_code == 200
    finally:
        want_version(server.root, "flights", 1)
        shutil.rmtree(directory)


def test_a_version_whose_bundle_is_not_there_is_served_as_soon_as_it_is(serve, root, v2):
    server = serve(root)
    want_version(root, "flights", 3)
    refused = wait_until_served(root, "flights", 3, PATIENCE)
    assert "There is no bundle in" in refused.reason
    install_bundle(root, v2.bundle, version=3)
    want_version(root, "flights", 3)
    assert wait_until_served(root, "flights", 3, PATIENCE).served
    assert served_version(server) == "3"


def test_a_bundle_that_is_repaired_is_served_without_being_asked_for_again(start, root, v2, eventually):
    server = start(root, constants="import everfresh.serving.versions.watcher as watcher; watcher.RETRY_AFTER_S = 0.2")
    eventually(lambda: served_version(server) == "1")
    flip_a_byte(bundle_directory(root, "flights", 2) / "model.onnx")
    want_version(root, "flights", 2)
    assert "model.onnx holds other bytes" in wait_until_served(root, "flights", 2, PATIENCE).reason
    install_bundle(root, v2.bundle, version=2)
    eventually(lambda: convergence(root, "flights", 2).served)
    assert server.said().count("could not be loaded") == 1


def test_a_model_that_is_no_longer_wanted_is_no_longer_served(serve, root, eventually):
    server = serve(root)
    want_removed(root, "flights")
    eventually(lambda: served_version(server) is None)
    assert server.get("/v2/models/flights").status_code == 404
    want_version(root, "flights", 2)
    assert wait_until_served(root, "flights", 2, PATIENCE).served


def test_a_report_that_cannot_be_written_is_written_as_soon_as_it_can_be(start, root, plain, eventually):
    blocked = root / "workers"
    blocked.write_text("a file where the folder should be")
    server = start(root, constants="import everfresh.serving.versions.watcher as watcher; watcher.RETRY_AFTER_S = 0.2")
    assert eventually(lambda: server.post("/invocations", json={"inputs": plain})).status_code == 200
    assert not convergence(root, "flights", 1).served
    blocked.unlink()
    assert wait_until_served(root, "flights", 1, PATIENCE).served


def test_a_state_that_cannot_be_read_changes_nothing_and_is_said_once(serve, root, eventually):
    server = serve(root)
    (root / "serving.json").write_text("{not json")
    eventually(lambda: "cannot be read as the desired state" in server.said())
    time.sleep(0.3)
    assert server.said().count("cannot be read as the desired state") == 1
    assert served_version(server) == "1"
