"""A search on a cluster that runs already: the one that the environment names, not one of its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest

from everfresh.settings import Settings
from everfresh.testing.projects import rides, write_project

ROOT = Path(__file__).parents[2]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("prefect_server"),
    pytest.mark.filterwarnings("ignore"),  # of what a cluster's own libraries warn is not ours to mend
]


def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(*words: str, log: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """A program with all that it starts, and with what each machine of a cluster must have: the code."""
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", *words],
            env={**os.environ, "PYTHONPATH": str(ROOT), "RAY_USAGE_STATS_ENABLED": "0", **environment},
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        for number, patience in ((signal.SIGTERM, 5), (signal.SIGKILL, 10)):
            try:
                os.killpg(process.pid, number)
                process.wait(timeout=patience)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                continue


def wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()[-2000:]
        with socket.socket() as caller:
            if caller.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    raise TimeoutError(log.read_text()[-2000:])


# In a process of its own, as a flow is: what a cluster's library reads from the environment, it reads once.
SEARCH = """
import json, sys
from everfresh.loop.rows import learning_rows
from everfresh.loop.workspace import open_workspace
from tasks.training import search
workspace = open_workspace("rides")
trials = search(workspace, learning_rows(workspace.project, workspace.settings))
print(json.dumps([trial.candidate for trial in trials if not trial.error]))
"""


def searched(checkout: Settings, cluster: str, **environment: str) -> list[str]:
    """The candidates of which a trial came back without an error."""
    from prefect.settings import PREFECT_API_URL

    training = {"search": {"trials": 2, "parallel": cluster}}
    write_project(checkout.projects, rides(days=40), training=training)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SEARCH],
        env={
            **os.environ,
            **checkout.to_environment(),
            **environment,
            "PREFECT_API_URL": str(PREFECT_API_URL.value()),
            "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
            "PYTHONPATH": str(ROOT),
            "OMP_NUM_THREADS": "1",
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    found: list[str] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_a_search_goes_to_the_dask_that_is_named(checkout: Settings, tmp_path: Path) -> None:
    if find_spec("prefect_dask") is None:
        pytest.skip("prefect-dask is not installed")
    from distributed import Client

    port, log = unused_port(), tmp_path / "log"
    address = f"tcp://127.0.0.1:{port}"
    scheduler = ("distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard")
    worker = ("distributed.cli.dask_worker", address, "--no-nanny", "--no-dashboard", "--nthreads", "1")
    with running("-m", *scheduler, log=log) as process:
        wait_for(port, process, log)
        with running("-m", *worker, "--local-directory", str(tmp_path), log=tmp_path / "worker"):
            assert searched(checkout, "dask", EVERFRESH_DASK_ADDRESS=address) == ["logistic", "logistic"]
            with Client(address) as client:
                # Nobody but a trial has made that process import this.
                assert list(client.run(lambda: "everfresh.training.search" in sys.modules).values()) == [True]


def test_a_search_goes_to_the_ray_that_is_named(checkout: Settings, tmp_path: Path) -> None:
    if find_spec("prefect_ray") is None:
        pytest.skip("prefect-ray is not installed")
    port, log = unused_port(), tmp_path / "log"
    # A Ray that anybody may reach runs anybody's code; without a token of its own, it would take one of this user's.
    secret = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0123456789abcdef" * 4}
    # A socket in it has a name that the system takes only if it is short.
    folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))
    head = ("start", "--head", "--block", "--port", str(port), "--node-ip-address", "127.0.0.1", "--num-cpus", "1")
    size = ("--object-store-memory", str(100 << 20), "--include-dashboard", "false", "--temp-dir", str(folder))
    try:
        with running("-m", "ray.scripts.scripts", *head, *size, log=log, **secret) as process:
            wait_for(port, process, log)
            found = searched(checkout, "ray", EVERFRESH_RAY_ADDRESS=f"127.0.0.1:{port}", **secret)
            assert found == ["logistic", "logistic"]
            assert list(folder.glob("session_*/logs/python-core-worker-*"))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
