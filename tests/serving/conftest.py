"""Small fitted models in bundles, and real servers on free ports."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import psutil
import pytest
from sklearn.base import BaseEstimator
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.neighbors import KNeighborsClassifier

from everfresh.data.columns import Column
from everfresh.data.frames import model_frame
from everfresh.packaging.bundle import Bundle, open_bundle
from everfresh.packaging.manifest import ModelFacts
from everfresh.packaging.pipelines import pipeline_answer
from everfresh.packaging.writing import write_bundle
from everfresh.serving.versions.state import install_bundle, wait_until_served, want_version
from everfresh.training.pipeline import build_pipeline

COLUMNS = (
    Column("distance", "float"),
    Column("stops", "integer"),
    Column("weekend", "boolean"),
    Column("carrier", "category"),
    Column("booked_at", "datetime"),
)


@dataclass(frozen=True)
class Fitted:
    """A bundle and the pipeline that it was made of."""

    bundle: Bundle
    pipeline: Any

    @property
    def name(self) -> str:
        return self.bundle.manifest.name

    def answer(self, frame: pd.DataFrame) -> np.ndarray:
        """What the pipeline answers in this process."""
        return pipeline_answer(self.pipeline, model_frame(frame, COLUMNS), self.bundle.manifest.task)


@dataclass
class Server:
    """A server, or its supervisor, that runs as a process of its own."""

    process: subprocess.Popen[bytes]
    root: Path
    port: int
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def get(self, path: str, **options: Any) -> httpx.Response:
        return httpx.get(self.url + path, timeout=10, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        return httpx.post(self.url + path, timeout=10, **options)

    def workers(self) -> list[psutil.Process]:
        """The processes below it, youngest first."""
        return psutil.Process(self.process.pid).children(recursive=True)[::-1]

    def said(self) -> str:
        """What it wrote to its standard error."""
        return self.log.read_text()

    def stop(self) -> int:
        """Ask it to end, and the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)


def wait_for(holds: Callable[[], Any], seconds: float = 10.0) -> Any:
    """What `holds` gives, as soon as it gives something true; the test fails where it never does."""
    deadline = time.monotonic() + seconds
    while True:
        with suppress(httpx.HTTPError, psutil.Error):
            if found := holds():
                return found
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session", name="eventually")
def _eventually() -> Callable[..., Any]:
    return wait_for


@pytest.fixture(scope="session", name="processes_of")
def _processes_of() -> Callable[[Path], list[psutil.Process]]:
    return processes_of


@pytest.fixture(scope="session")
def flights() -> pd.DataFrame:
    """A table as a project has it: features with gaps, an id, a time, and a label."""
    random = np.random.default_rng(20130101)
    rows = 600
    booked = pd.Timestamp("2013-01-01") + pd.to_timedelta(random.integers(0, 86_400 * 90, rows), unit="s")
    table = pd.DataFrame(
        {
            "flight_id": [f"f{row}" for row in range(rows)],
            "scheduled_at": booked + pd.Timedelta(days=30),
            "distance": random.normal(900, 300, rows).round(1),
            "stops": random.integers(0, 4, rows),
            "weekend": random.random(rows) < 0.3,
            "carrier": random.choice(["AA", "B6", "DL", "UA"], rows),
            "booked_at": booked,
        }
    )
    late = table["distance"] + 150 * table["stops"] + 200 * table["weekend"] + random.normal(0, 150, rows) > 1200
    table["delayed"] = np.where(late, "late", "on time")
    table["minutes"] = table["distance"] / 8 + 20 * table["stops"] + random.normal(0, 5, rows)
    gaps = random.random((rows, 3)) < 0.05
    return table.assign(
        distance=table["distance"].mask(gaps[:, 0]),
        carrier=table["carrier"].mask(gaps[:, 1]),
        booked_at=table["booked_at"].mask(gaps[:, 2]),
    )


@pytest.fixture(scope="session")
def pack(flights: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Fitted]:
    """Fit an estimator on the flights and write its bundle."""

    def fit_and_write(estimator: BaseEstimator, name: str, label: str, task: str = "classification") -> Fitted:
        pipeline = build_pipeline(estimator, COLUMNS).fit(model_frame(flights, COLUMNS), flights[label])
        facts = ModelFacts(
            name=name,
            task=task,
            classes=tuple(pipeline.classes_) if task == "classification" else (),
            columns=COLUMNS,
            label=label,
            created_at=datetime(2013, 6, 1, tzinfo=UTC),
            id_column="flight_id",
            time_column="scheduled_at",
        )
        directory = tmp_path_factory.mktemp(name) / "bundle"
        write_bundle(directory, pipeline, facts, rows=flights, profile={})
        return Fitted(open_bundle(directory), pipeline)

    return fit_and_write


@pytest.fixture(scope="session")
def v1(pack: Callable[..., Fitted]) -> Fitted:
    return pack(HistGradientBoostingClassifier(max_iter=10, random_state=1), "flights", "delayed")


@pytest.fixture(scope="session")
def v2(pack: Callable[..., Fitted]) -> Fitted:
    return pack(HistGradientBoostingClassifier(max_iter=20, max_depth=3, random_state=2), "flights", "delayed")


@pytest.fixture(scope="session")
def minutes(pack: Callable[..., Fitted]) -> Fitted:
    """A regression."""
    return pack(HistGradientBoostingRegressor(max_iter=10, random_state=3), "minutes", "minutes", "regression")


@pytest.fixture(scope="session")
def neighbours(pack: Callable[..., Fitted]) -> Fitted:
    """A classifier without an exact plan, which scikit-learn serves."""
    return pack(KNeighborsClassifier(n_neighbors=5), "neighbours", "delayed")


@contextmanager
def starting() -> Iterator[Callable[..., Server]]:
    """Start servers, or with `module` their supervisors; whatever of them still runs at the end is ended.

    `constants` is Python that runs in the server before it starts, to make its limits short.
    """
    started: list[Server] = []

    def start_process(
        root: Path, *, module: str = "everfresh.serving", port: int | None = None, workers: int = 1, constants: str = ""
    ) -> Server:
        port = port or free_port()
        run = f"import runpy\n{constants}\nrunpy.run_module({module!r}, run_name='__main__')"
        arguments = ["--root", str(root), "--port", str(port), "--workers", str(workers)]
        log = root.with_name(f"{root.name}-{len(started)}.log")
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-c", run, *arguments] if constants else [sys.executable, "-m", module, *arguments],
                stdin=subprocess.DEVNULL,
                stderr=output,
            )
        started.append(Server(process, root, port, log))
        return started[-1]

    try:
        yield start_process
    finally:
        for server in started:
            _end(server)


@pytest.fixture
def start() -> Iterator[Callable[..., Server]]:
    """Start servers that end with the test; see `starting`."""
    with starting() as start_process:
        yield start_process


@pytest.fixture(scope="session")
def start_shared() -> Iterator[Callable[..., Server]]:
    """Start servers that several tests share; see `starting`."""
    with starting() as start_process:
        yield start_process


def _end(server: Server) -> None:
    """End a server and all that belongs to its root, however the test left it."""
    family = []
    with suppress(psutil.Error):
        family = psutil.Process(server.process.pid).children(recursive=True)
    server.process.terminate()
    with suppress(subprocess.TimeoutExpired):
        server.process.wait(15)
    server.process.kill()
    server.process.wait(5)
    for member in [*family, *processes_of(server.root)]:
        with suppress(psutil.Error):
            member.kill()


def processes_of(root: Path) -> list[psutil.Process]:
    """Every process that was started for a root and has not ended."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if str(root) in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


@pytest.fixture
def root(tmp_path: Path, v1: Fitted, v2: Fitted) -> Path:
    """A root where version 1 of the flights should serve, and version 2 lies ready."""
    directory = tmp_path / "root"
    install_bundle(directory, v1.bundle, version=1)
    install_bundle(directory, v2.bundle, version=2)
    want_version(directory, "flights", 1)
    return directory


@pytest.fixture
def serve(start: Callable[..., Server]) -> Callable[..., Server]:
    """Start a server and wait until it serves all that is wanted of it."""

    def serve_until_ready(root: Path, **options: Any) -> Server:
        server = start(root, **options)
        until_ready(server)
        return server

    return serve_until_ready


def until_ready(server: Server) -> None:
    wait_for(lambda: server.process.poll() is not None or server.get("/v2/health/ready").status_code == 200, 20)
    assert server.process.poll() is None, server.said()


@pytest.fixture(scope="session")
def served(
    start_shared: Callable[..., Server],
    tmp_path_factory: pytest.TempPathFactory,
    v1: Fitted,
    minutes: Fitted,
    neighbours: Fitted,
) -> Server:
    """One server of three models, for tests that only ask."""
    root = tmp_path_factory.mktemp("served") / "root"
    for fitted in (v1, minutes, neighbours):
        install_bundle(root, fitted.bundle, version=1)
        want_version(root, fitted.name, 1)
    server = start_shared(root)
    for fitted in (v1, minutes, neighbours):
        served = wait_until_served(root, fitted.name, 1, timedelta(seconds=30))
        assert served.served, served.reason
    # Models are loaded before the worker listens.
    until_ready(server)
    return server


@pytest.fixture(scope="session")
def features(flights: pd.DataFrame) -> pd.DataFrame:
    """Forty rows of what the models read."""
    return flights[[column.name for column in COLUMNS]].head(40)


@pytest.fixture(scope="session")
def plain(features: pd.DataFrame) -> dict[str, list[Any]]:
    """The same rows as JSON has them, column by column."""
    return {
        "distance": [None if np.isnan(v) else v for v in features["distance"].tolist()],
        "stops": features["stops"].tolist(),
        "weekend": features["weekend"].tolist(),
        "carrier": [None if pd.isna(v) else v for v in features["carrier"]],
        "booked_at": [None if pd.isna(v) else v.isoformat() for v in features["booked_at"]],
    }
