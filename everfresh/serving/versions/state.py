"""What a server should serve and what its workers do serve: small files below one root.

    <root>/models/<name>/<version>/     bundles
    <root>/serving.json                 the desired state: which versions of which model; written by whoever deploys
    <root>/server.json                  the running server: process, address, number of workers; see `presence`
    <root>/workers/<pid>.json           what each worker serves; written by the worker
    <root>/inference/<name>/log/        the inference log, and labels/ beside it

Deploying is: put the bundle in place, write the desired state, wait until every worker reports it. Workers
look at the desired state all the time, so a crash in between is repaired by the next look.
Every write is a temporary file and a rename.
"""

from __future__ import annotations

import fcntl
import json
import re
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from everfresh.errors import StateUnreadable
from everfresh.packaging.bundle import Bundle, copy_bundle
from everfresh.serving.presence import ServerInfo as ServerInfo
from everfresh.serving.presence import is_alive, write_json
from everfresh.serving.presence import read_server as read_server
from everfresh.serving.versions.desired import DesiredModel

MODEL_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


@dataclass(frozen=True)
class DesiredState:
    """What should serve, by model. `generation` grows with every write."""

    generation: int = 0
    models: Mapping[str, DesiredModel] = field(default_factory=dict)

    @property
    def versions(self) -> dict[str, int]:
        """The version of each model that answers where nothing else is said."""
        return {name: model.version for name, model in self.models.items()}


@dataclass(frozen=True)
class WorkerReport:
    """What one worker serves.

    Attributes:
        pid: the worker's process.
        generation: the newest desired state that it acted upon, whether that went well or not.
        versions: the versions that answer requests now.
        errors: for each model that could not be brought to the desired versions, the sentence that says why;
            what served before goes on serving.
        loaded: all versions of each model that can be asked for.
    """

    pid: int
    generation: int
    versions: Mapping[str, int]
    errors: Mapping[str, str]
    loaded: Mapping[str, Sequence[int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Convergence:
    """Whether every worker serves what was asked for, and the sentence that says so."""

    served: bool
    reason: str


def bundle_directory(root: Path, name: str, version: int) -> Path:
    """Where the bundle of a version lies below the root of a server."""
    return root / "models" / name / str(version)


def inference_root(root: Path) -> Path:
    """Where the inference log and the labels of a server lie."""
    return root / "inference"


def install_bundle(root: Path, bundle: Bundle, *, version: int) -> Bundle:
    """Put a bundle where a server finds it, under a version; doing it twice changes nothing.

    Raises:
        BundleExists: that version is there with other content.
    """
    return copy_bundle(bundle, bundle_directory(root, bundle.manifest.name, version), version=version)


def remove_bundle(root: Path, name: str, version: int) -> None:
    """Delete the bundle of a version that is neither desired nor served; a version that is not there is fine."""
    shutil.rmtree(bundle_directory(root, name, version), ignore_errors=True)


def read_desired(root: Path) -> DesiredState:
    """The desired state; the empty one where nobody deployed yet.

    Raises:
        StateUnreadable: the file is not what `want_version` writes.
    """
    file = _desired_file(root)
    try:
        content = json.loads(file.read_bytes())
        models = {str(name): DesiredModel.from_json(model) for name, model in content["models"].items()}
        return DesiredState(generation=int(content.get("generation", 0)), models=models)
    except FileNotFoundError:
        return DesiredState()
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StateUnreadable(file, f"{type(error).__name__}: {error}") from error


def want_version(root: Path, name: str, version: int) -> DesiredState:
    """Ask the server to serve a version of a model, and no other one beside it."""
    return want_model(root, name, DesiredModel(version))


def want_model(root: Path, name: str, model: DesiredModel) -> DesiredState:
    """Ask the server to serve versions of a model, instead of those that it serves now."""
    with _locked(root):
        before = read_desired(root)
        return _write_desired(root, before, {**before.models, name: model})


def want_removed(root: Path, name: str) -> DesiredState:
    """Ask the server to stop serving a model."""
    with _locked(root):
        before = read_desired(root)
        return _write_desired(root, before, {other: m for other, m in before.models.items() if other != name})


def read_workers(root: Path) -> tuple[WorkerReport, ...]:
    """What the workers that are alive say that they serve."""
    contents = [_read_json(file) for file in sorted((root / "workers").glob("*.json"))]
    reports = [WorkerReport(**content) for content in contents if content is not None]
    return tuple(report for report in reports if is_alive(report.pid))


def write_worker(root: Path, report: WorkerReport) -> None:
    """Say what a worker serves."""
    write_json(_worker_file(root, report.pid), asdict(report))


def forget_worker(root: Path, pid: int) -> None:
    """Take away the report of a worker that has ended."""
    _worker_file(root, pid).unlink(missing_ok=True)


def forget_workers(root: Path) -> None:
    """Take away the reports of the workers of an earlier server, which were killed and could not do it themselves."""
    for file in (root / "workers").glob("*.json"):
        file.unlink(missing_ok=True)


def convergence(root: Path, name: str, version: int) -> Convergence:
    """Whether every worker serves `version` of `name` at this moment, and has the others that are wanted beside it."""
    server = read_server(root)
    if server is None:
        return Convergence(False, f"no inference server runs on {root}")
    desired = read_desired(root)
    if desired.versions.get(name) != version:
        return Convergence(False, f"version {version} of {name!r} is not what the server is asked to serve")
    workers = read_workers(root)
    acted = [worker for worker in workers if worker.generation >= desired.generation]
    failed = next((worker.errors[name] for worker in acted if name in worker.errors), None)
    if failed is not None:
        return Convergence(False, failed)
    beside = {*desired.models[name].versions} - {version}
    serving = sum(worker.versions.get(name) == version and beside <= {*worker.loaded.get(name, ())} for worker in acted)
    if serving < server.workers:
        return Convergence(False, f"{serving} of {server.workers} workers serve version {version} of {name!r}")
    return Convergence(True, f"{serving} of {server.workers} workers serve version {version} of {name!r}")


def wait_until_served(root: Path, name: str, version: int, timeout: timedelta) -> Convergence:
    """Wait until every worker serves `version` of `name`, and say whether they do.

    Returns early with the sentence of a worker that tried and failed.
    """
    deadline = time.monotonic() + timeout.total_seconds()
    while True:
        now = convergence(root, name, version)
        if now.served or time.monotonic() >= deadline or _has_failed(root, name):
            return now
        time.sleep(0.02)


def _has_failed(root: Path, name: str) -> bool:
    generation = read_desired(root).generation
    return any(name in worker.errors and worker.generation >= generation for worker in read_workers(root))


def _write_desired(root: Path, before: DesiredState, models: Mapping[str, DesiredModel]) -> DesiredState:
    desired = DesiredState(before.generation + 1, models)
    content = {name: model.to_json() for name, model in sorted(models.items())}
    write_json(_desired_file(root), {"generation": desired.generation, "models": content})
    return desired


@contextmanager
def _locked(root: Path) -> Iterator[None]:
    """One writer at a time: two deployments that read the same state would lose one of them."""
    root.mkdir(parents=True, exist_ok=True)
    with (root / ".serving.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _read_json(file: Path) -> Any:
    try:
        return json.loads(file.read_bytes())
    except (FileNotFoundError, ValueError):
        return None


def _desired_file(root: Path) -> Path:
    return root / "serving.json"


def _worker_file(root: Path, pid: int) -> Path:
    return root / "workers" / f"{pid}.json"
