"""A registry behind MLflow's own server, which checks more than its database does."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from everfresh.settings import Settings
from everfresh.testing.projects import day, open_in_memory, rides, train, write_project

pytestmark = pytest.mark.slow


@pytest.fixture
def server(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of `mlflow server` over the checkout's database."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
        monkeypatch.delenv(name)
    own = {
        "MLFLOW_BACKEND_STORE_URI": settings.tracking_uri,
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    command = [sys.executable, "-W", "ignore", "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            [*command, "--workers", "1"],
            env=os.environ | own,
            cwd=tmp_path,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        wait_for(f"http://127.0.0.1:{port}", process, tmp_path / "log")
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(timeout=10)


def wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()[-2000:]
        try:
            if httpx.get(f"{url}/health", timeout=2).is_success:
                return
        except httpx.HTTPError:
            time.sleep(0.3)
    raise TimeoutError(log.read_text()[-2000:])


def test_a_version_is_made_and_promoted_through_the_server(settings: Settings, server: str) -> None:
    import mlflow.sklearn

    settings = replace(settings, tracking_uri=server)
    workspace = open_in_memory(write_project(settings.projects, rides(days=40)), settings)
    version, verdict = train(workspace, day(35))
    registry = workspace.registry
    registry.promote(version, "the first one")
    champion = registry.load_champion("rides")

    assert verdict.passed, verdict.reason
    assert (champion.version, champion.promoted_at is not None) == (1, True)
    assert workspace.bundle(champion).manifest.digest == version.bundle_digest
    assert "## Verdict: PASS" in str(registry.read_text(champion, "verdict.md"))
    assert registry.read_text(champion, "nothing.md") is None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of MLflow's own
        assert mlflow.sklearn.load_model("models:/rides@champion").n_features_in_ == 4
