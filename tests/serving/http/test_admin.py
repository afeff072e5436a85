"""Changing what is served over HTTP, for those who may."""

from __future__ import annotations

from datetime import UTC, datetime

import httpx
import numpy as np
import pytest

from everfresh.serving.access.keys import add_to
from everfresh.serving.access.roles import Role
from everfresh.serving.versions.state import install_bundle, read_desired, want_version

INFER = "/v2/models/flights/infer"


@pytest.fixture(scope="module")
def guarded(start_shared, tmp_path_factory, v1, v2, minutes, eventually):
    """A server that asks who is there, and clients who may do this or that."""
    root = tmp_path_factory.mktemp("guarded") / "root"
    install_bundle(root, v1.bundle, version=1)
    install_bundle(root, v2.bundle, version=2)
    install_bundle(root, minutes.bundle, version=1)
    want_version(root, "flights", 1)
    now = datetime.now(UTC)
    keys = {role: add_to(root / "keys.json", str(role), [role], now=now).presented for role in Role}
    server = start_shared(root, workers=2)
    eventually(lambda: server.get("/v2/health/ready").status_code == 200, 30)
    server.keys = keys
    return server


def ask(server, role, method, path, **options):
    headers = {"authorization": f"Bearer {server.keys[role]}"} if role else {}
    return httpx.request(method, server.url + path, headers=headers, timeout=40, **options)


def tensors(plain):
    return {"inputs": [{"name": name, "data": values} for name, values in plain.items()]}


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", INFER, {Role.PREDICT, Role.ADMIN}),
        ("GET", "/v2/models/flights", {Role.PREDICT, Role.READ, Role.ADMIN}),
        ("GET", "/metrics", {Role.READ, Role.ADMIN}),
        ("POST", "/v2/repository/index", {Role.READ, Role.ADMIN}),
        ("GET", "/admin/models", {Role.ADMIN}),
        ("GET", "/admin/models/flights", {Role.ADMIN}),
        ("PUT", "/admin/models/flights", {Role.ADMIN}),
        ("DELETE", "/admin/models/none", {Role.ADMIN}),
        ("POST", "/v2/repository/models/flights/load", {Role.ADMIN}),
        ("POST", "/v2/repository/models/none/unload", {Role.ADMIN}),
    ],
)
def test_every_path_asks_for_its_role(guarded, method, path, allowed):
    strange = ask(guarded, None, method, path)
    assert strange.status_code == 401
    assert strange.headers["www-authenticate"] == "Bearer"
    for role in Role:
        status = ask(guarded, role, method, path).status_code
        assert (status != 403) is (role in allowed), (role, status)
        assert status != 401


@pytest.mark.parametrize("path", ["/v2/health/live", "/v2/health/ready", "/ping", "/health/ready"])
def test_health_asks_nobody(guarded, path):
    assert ask(guarded, None, "GET", path).status_code == 200


@pytest.mark.parametrize(
    "path", ["/admin/models/", "/admin//models", "/ADMIN/models", "/admin/models/x/health", "/ping/x"]
)
def test_paths_that_are_nearly_open_are_not(guarded, path):
    assert ask(guarded, None, "GET", path).status_code == 401


def test_an_administrator_splits_the_traffic_and_takes_it_back(guarded, plain, features, v2):
    wanted = {"version": 1, "traffic": {"2": 100}, "aliases": {"champion": 1, "challenger": 2}}
    brought = ask(guarded, Role.ADMIN, "PUT", "/admin/models/flights", json=wanted)
    assert brought.status_code == 200, brought.text
    assert brought.json() == {"name": "flights", **wanted}
    answers = [ask(guarded, Role.PREDICT, "POST", INFER, json=tensors(plain)) for _ in range(8)]
    assert {answer.headers["x-model-version"] for answer in answers} == {"2"}
    found = np.reshape(answers[0].json()["outputs"][0]["data"], (40, 2))
    np.testing.assert_allclose(found, v2.answer(features), rtol=0, atol=1e-12)
    assert ask(guarded, Role.ADMIN, "PUT", "/admin/models/flights", json={"version": 1}).json()["version"] == 1
    answers = [ask(guarded, Role.PREDICT, "POST", INFER, json=tensors(plain)) for _ in range(8)]
    assert {answer.headers["x-model-version"] for answer in answers} == {"1"}


@pytest.mark.parametrize(
    ("content", "status", "message"),
    [
        ({}, 400, "the key version is missing"),
        ({"version": "1"}, 400, "'1' is not a version"),
        ({"version": 1, "traffic": {"2": 101}}, 400, "101 is not a share in percent"),
        (
            {"version": 1, "shadow": 7},
            404,
            "Version 7 of 'flights' does not lie on this server. There are versions 1, 2.",
        ),
    ],
)
def test_what_cannot_be_served_changes_nothing(guarded, content, status, message):
    before = read_desired(guarded.root)
    refused = ask(guarded, Role.ADMIN, "PUT", "/admin/models/flights", json=content)
    assert refused.status_code == status
    assert message in refused.json()["error"]
    assert read_desired(guarded.root) == before


def test_a_version_that_cannot_be_loaded_is_taken_back(guarded, v2):
    directory = install_bundle(guarded.root, v2.bundle, version=3).directory
    (directory / "model.onnx").write_bytes(b"damaged")
    refused = ask(guarded, Role.ADMIN, "PUT", "/admin/models/flights", json={"version": 3})
    assert refused.status_code == 409
    assert "'flights' serves what it served before" in refused.json()["error"]
    assert "model.onnx" in refused.json()["error"]
    assert read_desired(guarded.root).models["flights"].version == 1


def test_the_repository_of_v2_loads_lists_and_unloads(guarded, eventually):
    listed = ask(guarded, Role.READ, "POST", "/v2/repository/index").json()
    assert {"name": "minutes", "version": "1", "state": "UNAVAILABLE", "reason": "is not asked for"} in listed
    assert ask(guarded, Role.ADMIN, "POST", "/v2/repository/models/minutes/load").status_code == 200
    ready = ask(guarded, Role.READ, "POST", "/v2/repository/index", json={"ready": True}).json()
    assert {("minutes", "1"), ("flights", "1")} <= {(entry["name"], entry["version"]) for entry in ready}
    assert ask(guarded, Role.ADMIN, "POST", "/v2/repository/models/minutes/unload").status_code == 200
    eventually(lambda: ask(guarded, Role.READ, "GET", "/v2/models/minutes").status_code == 404)
    gone = ask(guarded, Role.ADMIN, "POST", "/v2/repository/models/minutes/unload")
    assert (gone.status_code, gone.json()["code"]) == (404, "unknown_model")


def test_a_server_without_keys_lets_nobody_administer(served):
    refused = served.get("/admin/models")
    assert refused.status_code == 401
    assert "the server has no administrator" in refused.json()["error"]
