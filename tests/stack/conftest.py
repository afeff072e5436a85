"""One stack for all tests of this folder: a Prefect server, an MLflow server and a worker over throw-away flows."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from everfresh.settings import Settings
from everfresh.spec.project import ProjectSpec
from everfresh.stack.embedded import Addresses, start_stack, stop_stack
from everfresh.stack.runner import start_runner

ROOT = Path(__file__).parents[2]

# A flow that does nothing, and one that says where and with what it was run.
IDLE = '''
from prefect import flow

@flow(flow_run_name="{name}-{{project}}")
def {name}(project: str) -> str:
    """Does nothing."""
    return project
'''
RETRAIN = '''
import json, os, time
from datetime import datetime
from pathlib import Path
from typing import Literal
from prefect import flow

@flow
def child(seconds: float) -> None:
    """Waits."""
    time.sleep(seconds)

@flow(flow_run_name="retrain-{project}")
def retrain(
    project: str,
    trigger: Literal["hand", "event", "schedule"] = "hand",
    occurred: datetime | None = None,
    seconds: float = 0.0,
) -> str:
    """Writes down that it ran.

    Args:
        project: the project.
        trigger: what started it.
        occurred: when that was.
        seconds: how long it takes.
    """
    said = {
        "project": project, "trigger": trigger, "folder": os.getcwd(), "root": os.environ["EVERFRESH_ROOT"],
        "occurred": [type(occurred).__name__, str(occurred)],
    }
    with Path("ran.jsonl").open("a") as file:
        file.write(json.dumps(said) + "\\n")
    if seconds:
        child(seconds)
    return project
'''


def a_free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session", autouse=True)
def _nothing_is_set() -> Iterator[None]:
    """What the developer's shell says about servers and folders must not reach the tests."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(("EVERFRESH_", "MLFLOW_", "PREFECT_")):
                patch.delenv(name)
        yield


@pytest.fixture(scope="session")
def free_port() -> Callable[[], int]:
    return a_free_port


@pytest.fixture(scope="session")
def checkout_at() -> Callable[[Path], Path]:
    """A function that makes a folder look like a checkout with flows that do nothing."""

    def make(root: Path) -> Path:
        (root / "flows").mkdir(parents=True)
        (root / "flows" / "__init__.py").touch()
        (root / "deployments").mkdir()
        shutil.copy(ROOT / "deployments" / "prefect.yaml", root / "deployments")
        for name in ("train", "deploy", "monitor", "rollback", "score"):
            (root / "flows" / f"{name}.py").write_text(IDLE.format(name=name))
        (root / "flows" / "retrain.py").write_text(RETRAIN)
        return root

    return make


@pytest.fixture(scope="session")
def settings_for(free_port: Callable[[], int]) -> Callable[..., Settings]:
    """A function that gives a root settings of its own, with ports that nobody has."""

    def make(root: Path, **variables: str) -> Settings:
        ports = {"EVERFRESH_PREFECT_PORT": str(free_port()), "EVERFRESH_MLFLOW_PORT": str(free_port())}
        return Settings.from_environment({"EVERFRESH_ROOT": str(root), **ports, **variables})

    return make


@pytest.fixture(scope="session")
def spec_of() -> Callable[..., ProjectSpec]:
    def make(name: str, **sections: Any) -> ProjectSpec:
        data = {"source": {"kind": "csv", "path": "table.csv"}, "label": "late", "time_column": "at"}
        return ProjectSpec.model_validate({"name": name, "task": "classification", "data": data, **sections})

    return make


@dataclass(frozen=True)
class RunningStack:
    """The stack of this test session, and ways to look at it."""

    settings: Settings
    addresses: Addresses
    specs: tuple[ProjectSpec, ...]

    @property
    def api(self) -> str:
        return self.settings.prefect_url

    def post(self, path: str, body: Any) -> httpx.Response:
        """The answer; a server on SQLite says "try again" when its database is locked."""
        for _ in range(10):
            answer = httpx.post(f"{self.api}/{path}", json=body, timeout=60)
            if answer.status_code != 503:
                break
            time.sleep(1)
        return answer

    def deployment(self, flow: str, project: str) -> dict[str, Any]:
        found: dict[str, Any] = httpx.get(f"{self.api}/deployments/name/{flow}/{project}", timeout=60).json()
        return found

    def runs(self, flow: str, project: str) -> list[dict[str, Any]]:
        """All runs of a deployment, but for those that its schedule made for later."""
        which = {"deployments": {"id": {"any_": [self.deployment(flow, project)["id"]]}}}
        found = self.post("flow_runs/filter", which).json()
        return [run for run in found if not run["auto_scheduled"]]

    def start_run(self, flow: str, project: str, **parameters: Any) -> httpx.Response:
        """As the button in the UI does it."""
        path = f"deployments/{self.deployment(flow, project)['id']}/create_flow_run"
        return self.post(path, {"parameters": parameters})

    def run(self, identity: str) -> dict[str, Any]:
        found: dict[str, Any] = httpx.get(f"{self.api}/flow_runs/{identity}", timeout=60).json()
        return found

    def wait_for(self, what: Callable[[], Any], seconds: float = 60.0) -> Any:
        """What `what` gives, once it gives something."""
        deadline = time.monotonic() + seconds
        while not (found := what()):
            assert time.monotonic() < deadline, f"nothing within {seconds:.0f} s"
            time.sleep(0.1)
        return found

    def wait_until(self, identity: str, *states: str, seconds: float = 60.0) -> dict[str, Any]:
        """The run, once it is in one of these states."""

        def look() -> dict[str, Any] | None:
            run = self.run(identity)
            return run if run.get("state_type") in states else None

        found: dict[str, Any] = self.wait_for(look, seconds)
        return found

    def restart(self) -> None:
        """As `start_stack` does it, but for the deployments, which are there."""
        start_stack(self.settings, None)
        start_runner(self.settings)


@pytest.fixture(scope="session")
def stack(
    tmp_path_factory: pytest.TempPathFactory,
    checkout_at: Callable[[Path], Path],
    settings_for: Callable[..., Settings],
    spec_of: Callable[..., ProjectSpec],
) -> Iterator[RunningStack]:
    settings = settings_for(checkout_at(tmp_path_factory.mktemp("checkout")))
    specs = (spec_of("flights"), spec_of("other", retraining={"when": {"schedule": "0 3 * * 0"}}))
    # As a shell starts what is to run in the background: what is started inherits that Ctrl-C is ignored.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        addresses = start_stack(settings, specs)
        signal.signal(signal.SIGINT, before)
        yield RunningStack(settings, addresses, specs)
    finally:
        signal.signal(signal.SIGINT, before)
        stop_stack(settings)
