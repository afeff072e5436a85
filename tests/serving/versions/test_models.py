"""Several versions of a model on a real server: by number, by alias, by share, and in the shadow."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import httpx
import numpy as np
import pytest

from everfresh.data.inference_log import read_log, read_shadow_pairs
from everfresh.serving.versions.desired import DesiredModel
from everfresh.serving.versions.state import inference_root, install_bundle, wait_until_served, want_model

PATIENCE = timedelta(seconds=20)


def bring(server, model):
    want_model(server.root, "flights", model)
    served = wait_until_served(server.root, "flights", model.version, PATIENCE)
    assert served.served, served.reason


def invoke(server, plain, **headers):
    body = {"inputs": plain, "params": {"probabilities": True}}
    answer = httpx.post(f"{server.url}/invocations", json=body, headers=headers, timeout=10)
    return answer.headers.get("x-model-version"), answer.json()


@pytest.fixture(scope="module")
def server(start_shared, tmp_path_factory, v1, v2, eventually):
    root = tmp_path_factory.mktemp("versions") / "root"
    install_bundle(root, v1.bundle, version=1)
    install_bundle(root, v2.bundle, version=2)
    server = start_shared(root)
    bring(server, DesiredModel(1))
    eventually(lambda: server.get("/v2/health/ready").status_code == 200)
    return server


def test_a_version_beside_the_default_answers_those_who_ask_for_it(server, plain, features, v1, v2):
    bring(server, DesiredModel(1, loaded=(2,), aliases={"champion": 1, "challenger": 2}))
    for asked, version, fitted in (("2", "2", v2), ("challenger", "2", v2), ("champion", "1", v1), ("1", "1", v1)):
        answered, content = invoke(server, plain, **{"x-model-version": asked})
        assert answered == version
        np.testing.assert_allclose(content["predictions"], fitted.answer(features), rtol=0, atol=1e-12)
    assert invoke(server, plain)[0] == "1"


def test_the_path_names_a_version_or_an_alias(server, plain):
    bring(server, DesiredModel(1, loaded=(2,), aliases={"challenger": 2}))
    body = {"inputs": [{"name": name, "data": values} for name, values in plain.items()]}
    for asked in ("2", "challenger"):
        answered = server.post(f"/v2/models/flights/versions/{asked}/infer", json=body)
        assert answered.json()["model_version"] == "2"
        assert server.get(f"/v2/models/flights/versions/{asked}").json()["versions"] == ["2", "1"]
        assert server.get(f"/v2/models/flights/versions/{asked}/ready").status_code == 200


def test_a_version_that_is_not_loaded_is_refused_with_those_that_are(server, plain):
    bring(server, DesiredModel(1, loaded=(2,), aliases={"challenger": 2}))
    for unknown in ("3", "nobody", "01e", "-1"):
        _, content = invoke(server, plain, **{"x-model-version": unknown})
        assert content["code"] == "unknown_version"
        assert content["error"].endswith("of 'flights' is not served; versions 1, 2 are. Aliases: challenger.")


def test_a_share_of_the_keys_is_answered_by_the_other_version_and_always_the_same(server, plain):
    bring(server, DesiredModel(1, traffic={2: 50}))
    row = {name: values[:1] for name, values in plain.items()}
    with httpx.Client(base_url=server.url) as client:
        first, second = (
            [
                client.post("/invocations", json={"inputs": row}, headers={"x-routing-key": f"user {n}"})
                for n in range(200)
            ]
            for _ in range(2)
        )
    versions = [answer.headers["x-model-version"] for answer in first]
    assert versions == [answer.headers["x-model-version"] for answer in second]
    assert 60 < Counter(versions)["2"] < 140
    told = server.get("/v2/models/flights").json()["parameters"]
    assert told["traffic"] == {"2": 50}


def test_the_log_says_why_a_version_answered(server, plain, eventually):
    bring(server, DesiredModel(1, traffic={2: 100}))
    invoke(server, plain, **{"x-request-id": "by-share"})
    invoke(server, plain, **{"x-request-id": "by-name", "x-model-version": "1"})
    bring(server, DesiredModel(1))
    invoke(server, plain, **{"x-request-id": "by-default"})

    def variants():
        log = read_log(inference_root(server.root), "flights", columns=["request_id", "version", "variant"])
        found = set(zip(log["request_id"], log["version"], log["variant"], strict=True))
        return found if any(request == "by-default" for request, _, _ in found) else None

    found = eventually(variants)
    assert {("by-share", 2, "split"), ("by-name", 1, "requested"), ("by-default", 1, "default")} <= found


def test_a_shadow_answers_a_copy_of_the_requests_and_its_pairs_are_kept(server, plain, features, v1, v2, eventually):
    bring(server, DesiredModel(1, shadow=2))
    answered, content = invoke(server, plain, **{"x-request-id": "shadowed"})
    assert answered == "1"
    np.testing.assert_allclose(content["predictions"], v1.answer(features), rtol=0, atol=1e-12)

    def pairs():
        found = read_shadow_pairs(inference_root(server.root), "flights")
        found = found[found["request_id"] == "shadowed"] if len(found) else found
        return [found] if len(found) == len(features) else None

    (shadowed,) = eventually(pairs)
    assert (set(shadowed["version"]), set(shadowed["shadow.version"])) == ({1}, {2})
    assert set(shadowed["id"]) == {f"shadowed-{row}" for row in range(40)}
    shadowed = shadowed.set_index("id").loc[[f"shadowed-{row}" for row in range(40)]]
    np.testing.assert_allclose(shadowed["p.late"], v1.answer(features)[:, 0], rtol=0, atol=1e-12)
    np.testing.assert_allclose(shadowed["shadow.p.late"], v2.answer(features)[:, 0], rtol=0, atol=1e-12)
    log = read_log(inference_root(server.root), "flights")
    assert set(log.loc[log["request_id"] == "shadowed", "version"]) == {1}


def test_a_version_beside_the_default_that_cannot_be_loaded_is_left_out_and_said(server, plain):
    want_model(server.root, "flights", DesiredModel(1, traffic={9: 100}))
    reached = wait_until_served(server.root, "flights", 1, PATIENCE)
    assert not reached.served
    assert "There is no bundle in" in reached.reason
    assert invoke(server, plain)[0] == "1"
    bring(server, DesiredModel(1))
