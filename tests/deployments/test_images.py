"""The Dockerfiles: there is no engine to build them with, so each promise that they make is looked up or done here."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx
import numpy as np
import pandas as pd
import pytest
from sklearn.neighbors import KNeighborsClassifier

from deployments import to_pool
from everfresh.packaging.bundle import open_bundle
from everfresh.packaging.manifest import ModelFacts
from everfresh.packaging.writing import write_bundle
from everfresh.registry.lineage import code_revision
from everfresh.serving.client import Endpoint
from everfresh.serving.versions.state import install_bundle, want_version
from everfresh.settings import Settings
from everfresh.stack.services import prefect_environment
from everfresh.testing.bundles import COLUMNS, make_bundles
from everfresh.training.pipeline import build_pipeline

ROOT = Path(__file__).parents[2]
PINNED = re.compile(r"^([a-z0-9._-]+)==(\S+)", re.MULTILINE)


def pins(lock: Path) -> set[tuple[str, str]]:
    return set(PINNED.findall(lock.read_text()))


def names(lock: Path) -> set[str]:
    return {name for name, _ in pins(lock)}


# --- what both of them say ----------------------------------------------------------------------


@pytest.fixture(params=["application", "serving"])
def image(request):
    return request.getfixturevalue(request.param)


def test_an_image_is_made_from_a_python_with_a_version(image):
    assert re.fullmatch(r"python:3\.1[123]-slim-\w+", image.arguments["PYTHON"])
    bases = [line for line in image.file.read_text().splitlines() if line.startswith("FROM")]
    assert {base.split()[1] for base in bases} == {"${PYTHON}"}


def test_an_image_copies_what_is_in_the_checkout(image):
    sources = [source for source, _ in image.copied()]

    assert [source for source in sources if not (ROOT / source).exists()] == []
    assert [source for source in sources if (ROOT / source).is_dir() != source.endswith("/")] == []
    # Named one by one, so that no table, no key and no state of this machine comes along.
    assert [source for source in sources if source in (".", "./") or source.startswith((".everfresh", "mlruns"))] == []


def test_every_package_comes_by_its_hash(image):
    installs = [rest for stage in image.stages for word, rest in stage if word == "RUN" and "pip install" in rest]
    locked = [rest for rest in installs if "-r /" in rest]

    assert len(locked) == 1
    assert {"--no-deps", "--require-hashes"} <= set(locked[0].split())
    # What else is installed is this checkout itself.
    assert [
        rest for rest in installs if rest not in locked and "--no-deps --no-build-isolation --editable ." not in rest
    ] == []


def test_an_image_runs_as_a_user_with_a_number_that_is_not_root(image):
    [user] = image.all("USER")

    assert user == "10001:10001"
    assert f"--uid {user.partition(':')[0]}" in " ".join(image.all("RUN"))
    words = [word for word, _ in image.stages[-1]]
    assert "RUN" not in words[words.index("USER") :]


def test_an_image_says_nothing_that_is_secret(image):
    assert re.search(r"(?i)(password|passwd|secret|token|api_?key|https?://\S+@)", image.file.read_text()) is None


# --- the application ----------------------------------------------------------------------------


def test_all_that_the_application_writes_is_on_a_volume(application, writable):
    paths = [
        value for name, value in application.environment().items() if name.endswith(("HOME", "REPORTS", "DIRECTORY"))
    ]

    assert writable == ["/var/lib/everfresh", "/tmp"]
    assert len(paths) == 5
    assert all(path.startswith("/var/lib/everfresh") for path in paths)


def test_a_job_is_told_what_a_flow_on_this_machine_is_told(application, monkeypatch):
    for name in [name for name in os.environ if name.startswith(("PREFECT_", "MLFLOW_", "DO_NOT"))]:
        monkeypatch.delenv(name)
    told = prefect_environment(Settings.from_environment({}))
    image = application.environment()
    settings = Settings.from_environment(image)

    # Who asks and how often is the runner's business, and so is where the server is.
    runner = {"PREFECT_CLI_PROMPT", "PREFECT_WORKER_QUERY_SECONDS", "PREFECT_API_URL"}
    silent = {name for name in told if name.startswith(("PREFECT_", "MLFLOW_DISABLE", "DO_NOT"))} - runner
    assert silent <= image.keys()
    assert {name: image[name] for name in silent - {"PREFECT_HOME"}} == {n: told[n] for n in silent - {"PREFECT_HOME"}}
    assert str(settings.root) == application.all("WORKDIR")[0] == to_pool.FOLDER
    assert settings.home == Path("/var/lib/everfresh")


def test_the_application_has_what_its_flows_need(application):
    copied = {source for source, _ in application.copied()}

    assert {"everfresh/", "flows/", "tasks/", "projects/", "deployments/prefect.yaml"} <= copied
    assert names(ROOT / "requirements.lock") >= {
        "prefect",
        "mlflow",
        "boto3",
        "azure-ai-ml",
        "psycopg2-binary",
        "hatchling",
    }


def test_an_image_without_git_says_what_it_was_built_from(application, tmp_path, monkeypatch):
    assert application.all("ARG") == ["REVISION"]
    [made] = [rest for rest in application.all("RUN") if "REVISION" in rest]
    script = made.partition("&& /opt")[0]
    environment = {"PATH": os.environ["PATH"]}
    assert subprocess.run(["sh", "-c", script], cwd=tmp_path, env=environment, check=False).returncode != 0
    subprocess.run(["sh", "-c", script], cwd=tmp_path, env=environment | {"REVISION": "0123456789ab"}, check=True)

    monkeypatch.setenv("PATH", str(tmp_path))
    assert code_revision(tmp_path) == "0123456789ab"


# --- the inference server -----------------------------------------------------------------------


def test_the_server_has_the_versions_that_are_tested():
    lock, application = ROOT / "deployments" / "serving.lock", ROOT / "requirements.lock"

    assert pins(lock) <= pins(application), "compile deployments/serving.lock anew: deployments/serving.in says how"
    lines = lock.with_suffix(".in").read_text().splitlines()
    wanted = {re.split("[#;]", line)[0].strip() for line in lines} - {""}
    assert wanted <= names(lock)
    assert len(pins(lock)) < len(pins(application)) / 4
    for each in re.split(r"\n(?=\S)", lock.read_text()):
        assert "--hash=sha256:" in each
    assert "://" not in lock.read_text()


@dataclass(frozen=True)
class Alone:
    """A server of what the image copies, with the packages of its lock."""

    url: str
    process: subprocess.Popen[bytes]
    root: Path
    home: Path


# Before anything else is imported: packages that the image has not are not there.
GUARD = """
import re, runpy, sys
from importlib.metadata import packages_distributions
held = set(sys.argv.pop(1).split(","))
owners = packages_distributions()

class Missing:
    def find_spec(self, name, path=None, target=None):
        of = {re.sub(r"[-_.]+", "-", owner).lower() for owner in owners.get(name.partition(".")[0], ())}
        if of and not of & held and "everfresh" not in of:
            raise ModuleNotFoundError(f"No module named {name!r} in the image", name=name)

sys.meta_path.insert(0, Missing())
runpy.run_module("everfresh.serving", run_name="__main__", alter_sys=True)
"""


@pytest.fixture
def alone(serving, tmp_path: Path) -> Iterator[Alone]:
    """What the image copies, started as the image starts it; one model with an exact plan, and one without."""
    checkout, root, home = tmp_path / "opt", tmp_path / "root", tmp_path / "home"
    for source, target in serving.copied():
        place = checkout / target
        if source.endswith("/"):
            shutil.copytree(ROOT / source, place, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            place.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / source, place)
    home.mkdir()
    for name, directory in (
        ("delays", make_bundles(tmp_path / "made").first.directory),
        ("near", near(tmp_path / "near")),
    ):
        install_bundle(root, open_bundle(directory), version=1)
        want_version(root, name, 1)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    held = ",".join(names(ROOT / "deployments" / "serving.lock"))
    arguments = ["--root", str(root), "--host", "127.0.0.1", "--port", str(port)]
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", GUARD, held, *arguments],
            cwd=checkout,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(checkout), "HOME": str(home), "TMPDIR": str(home)},
            stderr=log,
        )
    try:
        yield Alone(f"http://127.0.0.1:{port}", process, root, home)
    finally:
        process.terminate()
        process.wait(timeout=30)


def near(directory: Path) -> Path:
    """A model that no exact plan can be made of: its pipeline serves itself."""
    random = np.random.default_rng(1)
    rows = pd.DataFrame({"distance": random.uniform(0, 1000, 60), "stops": random.integers(0, 3, 60).astype(float)})
    rows["carrier"] = pd.Series(random.choice(["AA", "UA"], 60), dtype="str")
    labels = np.where(rows["distance"] > 500, "late", "on time").astype(object)
    pipeline = build_pipeline(KNeighborsClassifier(), COLUMNS).fit(rows, labels)
    facts = ModelFacts("near", "classification", ("late", "on time"), COLUMNS, "delayed", datetime.now(UTC))
    assert write_bundle(directory, pipeline, facts, rows=rows, profile={}).path == "sklearn"
    return directory


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1)])
def test_the_health_of_the_server_is_asked_with_what_its_image_has(serving, status: int, code: int):
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status if self.path == "/v2/health/ready" else 404)
            self.end_headers()

        def log_message(self, *arguments):
            """Say nothing."""

    [health] = serving.all("HEALTHCHECK")
    program, *arguments = json.loads(health.partition("CMD ")[2])
    assert program == "python"
    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        there = [argument.replace(":8080", f":{server.server_port}") for argument in arguments]
        done = subprocess.run([sys.executable, *there], capture_output=True, timeout=30, check=False)

    assert done.returncode == code


def test_the_server_is_asked_to_stop_by_the_signal_that_it_answers_by_draining(serving):
    assert serving.all("STOPSIGNAL") == ["SIGTERM"]
    assert json.loads(serving.all("ENTRYPOINT")[0]) == ["python", "-m", "everfresh.serving"]  # no shell in between


@pytest.mark.slow
def test_the_server_needs_no_more_than_its_image_has(alone: Alone, tmp_path: Path):
    wait_until_ready(alone, tmp_path / "log")
    ride = {"distance": [650.0], "stops": [1], "carrier": ["AA"]}
    with Endpoint(alone.url) as endpoint:
        answers = {model: endpoint.predict(model, ride).answer.shape for model in ("delays", "near")}

    assert answers == {"delays": (1, 2), "near": (1, 2)}
    alone.process.send_signal(signal.SIGTERM)
    assert alone.process.wait(timeout=30) == 0, (tmp_path / "log").read_text()
    assert list((alone.root / "inference" / "near" / "log").rglob("*.parquet"))
    # ONNX Runtime would keep a number of this machine there, and what it has not yet sent to its maker.
    assert [file for file in alone.home.rglob("*") if file.is_file()] == []


def wait_until_ready(alone: Alone, log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert alone.process.poll() is None, log.read_text()
        try:
            if httpx.get(f"{alone.url}/v2/health/ready", timeout=2).is_success:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.2)
    raise TimeoutError(log.read_text())
