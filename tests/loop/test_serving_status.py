"""What a real server says of a model, as `everfresh status` shows it."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from everfresh.loop.serving_status import ServedVersion, ServingStatus, serving_status
from everfresh.loop.status import TargetStatus
from everfresh.packaging.bundle import open_bundle
from everfresh.serving.versions.desired import DesiredModel
from everfresh.serving.versions.state import install_bundle, wait_until_served, want_model
from everfresh.targets.local import LocalTarget
from everfresh.testing.bundles import ExampleBundles, make_bundles
from everfresh.testing.targets import InMemoryTarget

RIDES = {"distance": [650.0, 700.0], "stops": [1, 2], "carrier": ["AA", "UA"]}


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> ExampleBundles:
    return make_bundles(tmp_path_factory.mktemp("bundles"))


@pytest.fixture(scope="module")
def target(bundles: ExampleBundles, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalTarget]:
    """A server of two versions of one model, one of which also shadows; it was asked three times."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    target = LocalTarget(port, tmp_path_factory.mktemp("home"))
    try:
        target.deploy("delays", 1, bundles.first.directory)
        install_bundle(target.root, open_bundle(bundles.second.directory), version=2)
        wanted = DesiredModel(1, traffic={2: 12.5}, shadow=2, aliases={"champion": 1, "blue": 2})
        want_model(target.root, "delays", wanted)
        reached = wait_until_served(target.root, "delays", 1, timedelta(seconds=30))
        assert reached.served, reached.reason
        with target.endpoint() as endpoint:
            for _ in range(3):
                endpoint.predict("delays", RIDES)
        yield target
    finally:
        target.stop()


def logged(target: LocalTarget) -> ServingStatus:
    """The status once the log is written."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        status = serving_status(target, "delays", datetime.now(UTC))
        if status is not None and status.log_rows == 12:
            return status
        time.sleep(0.1)
    raise TimeoutError(status)


def test_a_server_says_who_gets_which_version_and_what_it_counted(target: LocalTarget) -> None:
    status = logged(target)
    lines = status.lines()

    assert list(lines) == ["v1", "v2", "asked"]
    assert re.fullmatch(r"default, 87\.5 % of the traffic, champion, packed \d+ \w+ ago; compiled: \S.*", lines["v1"])
    assert re.fullmatch(r"shadow, 12\.5 % of the traffic, blue, packed \d+ \w+ ago; compiled: \S.*", lines["v2"])
    # Each request was answered and shadowed, two rows each.
    assert re.fullmatch(r"3 requests in \d+ (s|min); 12 rows in the inference log, none dropped", lines["asked"])
    assert not any("\n" in line for line in lines.values())
    assert json.loads(json.dumps(asdict(status)))["versions"][0]["is_default"] is True


def test_a_model_that_is_not_served_and_a_server_that_is_not_there_have_no_status(
    target: LocalTarget, tmp_path: Path
) -> None:
    now = datetime.now(UTC)

    assert serving_status(target, "fares", now) is None
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        assert serving_status(LocalTarget(probe.getsockname()[1], tmp_path), "delays", now) is None
    assert serving_status(InMemoryTarget(), "delays", now) is None


def served(**facts: object) -> ServedVersion:
    known = {"version": 3, "share": 0.0, "is_default": False, "is_shadow": False, "aliases": (), "path": "onnx"}
    more = {"path_reason": "", "age_seconds": 400_000.0, "trained_through": None}
    return ServedVersion(**{**known, **more, **facts})  # type: ignore[arg-type]


def test_a_version_without_traffic_is_there_for_those_who_ask_for_it() -> None:
    assert str(served()) == "on request, packed 4 days ago; compiled"


def test_why_a_pipeline_is_served_as_it_was_stored_is_one_line() -> None:
    reason, day = "no exact plan:\n  KNeighborsClassifier", "2013-05-31T00:00:00+00:00"
    shown = served(path="sklearn", path_reason=reason, is_default=True, share=100.0, trained_through=day)

    assert str(shown) == (
        "default, 100 % of the traffic, packed 4 days ago, data through 2013-05-31; "
        "stored pipeline: no exact plan: KNeighborsClassifier"
    )


def test_lost_rows_are_not_to_be_overlooked() -> None:
    status = ServingStatus((served(),), requests=1_234, log_rows=5_000, dropped_rows=7, up_seconds=None)
    shown = TargetStatus("local:8080", "http://127.0.0.1:8080/v2/models/rides/infer", 3, status).lines()

    assert shown == {
        "local:8080": "v3 at http://127.0.0.1:8080/v2/models/rides/infer",
        "local:8080 v3": "on request, packed 4 days ago; compiled",
        "local:8080 asked": "1,234 requests; 5,000 rows in the inference log, 7 DROPPED",
    }
