"""The inference server on this machine: it is started when something is deployed, and kept running by a supervisor."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path

import everfresh
from everfresh import process
from everfresh.data.inference_log.policy import KEEP_ALL, LogPolicy
from everfresh.errors import (
    BundleDamaged,
    BundleError,
    DeployFailed,
    EndpointRefused,
    EndpointUnreachable,
    EverfreshError,
    NotServing,
    PortTaken,
    ProcessDied,
    RemoveFailed,
    TargetError,
)
from everfresh.packaging.bundle import Bundle, open_bundle
from everfresh.process import Service
from everfresh.serving.access.own_key import own_key
from everfresh.serving.access.policy import KEYS
from everfresh.serving.client import TIMEOUT_S, Endpoint
from everfresh.serving.presence import hold, last_server, read_server
from everfresh.serving.versions.desired import DesiredModel
from everfresh.serving.versions.state import (
    convergence,
    inference_root,
    install_bundle,
    read_desired,
    read_workers,
    remove_bundle,
    wait_until_served,
    want_model,
    want_removed,
)
from everfresh.targets.capabilities import CAPABILITIES
from everfresh.targets.protocol import Prediction

logger = logging.getLogger(__name__)

_REMEDY = "Stop it, or choose another port under targets[].port in the spec."
_START_SECONDS = 90.0
_DEPLOY_SECONDS = 60.0
_SETTLE_SECONDS = 10.0
_STOP_SECONDS = 20.0
_LOG_SECONDS = 1.5
_POLL_SECONDS = 0.02
_ASK_SECONDS = 5.0


class LocalTarget:
    """One inference server for all projects that name its port.

    Deploying writes what the server should serve and waits until each of its workers does, so a deployment that is
    killed half-way is completed by the server or by the next one.

    Args:
        port: where it listens on 127.0.0.1.
        home: the stack's folder; what the server needs lies in `serving/<port>` below it.
        workers: processes that answer requests; only a server that is not running yet takes notice.
        log: what the inference log keeps of the requests for what is deployed.
    """

    def __init__(self, port: int, home: Path, workers: int = 1, log: LogPolicy = KEEP_ALL) -> None:
        self.port = port
        self.root = home / "serving" / str(port)
        self._home = home
        self._keys = Path(os.environ.get(KEYS) or home / "keys.json").absolute()
        self._workers = workers
        self._log = log
        self._service = f"serving-{port}"

    @property
    def name(self) -> str:
        """How the target is called in messages."""
        return f"local:{self.port}"

    @property
    def rollouts(self) -> frozenset[str]:
        """The kinds of rollout that it can do."""
        return CAPABILITIES["local"]

    @property
    def inference_root(self) -> Path:
        """Where the inference log and the labels lie."""
        return inference_root(self.root)

    @property
    def url(self) -> str:
        """The root of the server's paths."""
        return f"http://127.0.0.1:{self.port}"

    def address(self, model: str) -> str:
        """Where requests for the model go."""
        return f"{self.url}/v2/models/{model}/infer"

    def endpoint(self, timeout_s: float = TIMEOUT_S) -> Endpoint:
        """A client of the server, with this machine's own key where the server asks for one."""
        return Endpoint(self.url, timeout_s=timeout_s, key=own_key(self._keys))

    def start(self) -> None:
        """Let the server run, and wait until it serves again what it served when it last ran.

        Raises:
            PortTaken: another program listens on the port.
            ProcessDied: the server ended before it was ready.
            NotReady: it was not ready in time.
        """
        try:
            process.start(self._as_service(), self._home)
        except ProcessDied as error:
            if read_server(self.root) is None and not process.port_is_free(self.port):
                raise PortTaken(self._service, self.port, _REMEDY) from error
            raise

    def stop(self) -> bool:
        """Stop the server; says whether it ran. What it served is served again when it is started again."""
        stopped = process.stop(self._service, self._home)
        # A server whose supervisor was killed goes on serving.
        return self._stop_unsupervised() or stopped

    def deploy(self, model: str, version: int, bundle: Path) -> None:
        """Let the version serve. When this returns, every worker answers with it.

        Raises:
            DeployFailed: they do not; what served before still does.
            StackError: the server could not be started.
        """
        with self._one_at_a_time(model, version):
            try:
                opened = _bundle_of(model, bundle)
            except BundleError as error:
                raise self._failure(model, version, error) from error
            self.start()
            former = self.current(model)
            try:
                self._bring(opened, version)
            except BaseException as error:
                self._restore(model, version, former)
                if isinstance(error, EverfreshError | OSError):
                    raise self._failure(model, version, error) from error
                raise
            self._forget_bundles(model, keep={version, former})

    def current(self, model: str) -> int | None:
        """The version that every worker answers with, or None where there is no such version.

        While the server restarts or changes over, this waits for a moment until it has.
        """
        deadline = time.monotonic() + _SETTLE_SECONDS
        while not self._has_settled() and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
        server = read_server(self.root)
        if server is None:
            return None
        # Whichever worker answers says one version; their reports say that the others would say the same.
        reported = [worker.versions.get(model) for worker in read_workers(self.root)]
        answered = self._answered_version(model)
        return answered if len(reported) >= server.workers and set(reported) == {answered} else None

    def predict(self, model: str, columns: Mapping[str, Sequence[object]]) -> Prediction:
        """Answers for rows, given by column. They come into the inference log like any other request.

        Raises:
            NotServing: the server does not run, or has no such model.
            EndpointRefused: the rows are not what the model reads.
        """
        if read_server(self.root) is None:
            raise NotServing(model, self.name)
        try:
            with self.endpoint() as endpoint:
                answered = endpoint.predict(model, columns, record=False)
        except EndpointRefused as error:
            if error.code == "unknown_model":
                raise NotServing(model, self.name) from error
            raise
        return Prediction(answered.answer, answered.version)

    def remove(self, model: str) -> None:
        """Stop serving the model. The server goes on: it may have others, and the next one to come.

        Raises:
            RemoveFailed: it is still served.
        """
        if not self.root.exists():
            return
        with self._one_at_a_time(model, None):
            if model in read_desired(self.root).versions:
                want_removed(self.root, model)
            deadline = time.monotonic() + _SETTLE_SECONDS
            while self._is_served(model):
                if time.monotonic() > deadline:
                    raise RemoveFailed(model, self.name)
                time.sleep(_POLL_SECONDS)
            self._forget_bundles(model, keep=frozenset())

    def forget(self, model: str) -> None:
        """As `remove`, and delete the model's inference log and labels.

        Raises:
            RemoveFailed: it is still served.
        """
        self.remove(model)
        logged = self.inference_root / model
        shutil.rmtree(logged, ignore_errors=True)
        while read_server(self.root) is not None:
            # What was answered a moment ago is still to be written.
            time.sleep(_LOG_SECONDS)
            if not logged.exists():
                return
            shutil.rmtree(logged, ignore_errors=True)

    def _as_service(self) -> Service:
        command = ["-m", "everfresh.serving.supervisor", "--root", str(self.root), "--port", str(self.port)]
        # A server that is running, or was killed and whose workers still end, is ours: the supervisor deals with it.
        is_ours = last_server(self.root) is not None
        return Service(
            name=self._service,
            command=[sys.executable, *command, "--workers", str(self._workers)],
            environment={**_importable(), KEYS: str(self._keys)},
            port=None if is_ours else self.port,
            port_remedy=_REMEDY,
            is_ready=lambda: read_server(self.root) is not None and self._has_settled() and self._answers(),
            ready_seconds=_START_SECONDS,
        )

    def _bring(self, bundle: Bundle, version: int) -> None:
        """Put the bundle in its place and have it served, unless it is; whatever is raised says why it is not."""
        model = bundle.manifest.name
        install_bundle(self.root, bundle, version=version)
        wanted = DesiredModel(version, log=self._log)
        if not convergence(self.root, model, version).served or read_desired(self.root).models.get(model) != wanted:
            want_model(self.root, model, wanted)
        reached = wait_until_served(self.root, model, version, timedelta(seconds=_DEPLOY_SECONDS))
        if not reached.served:
            raise TargetError(reached.reason)
        answered = self._answered_version(model)
        if answered != version:
            raise TargetError(f"{self.url} answers with version {answered}")

    def _restore(self, model: str, version: int, former: int | None) -> None:
        """Want again what was served before."""
        wanted = read_desired(self.root).versions.get(model)
        if former is not None and wanted != former:
            want_model(self.root, model, DesiredModel(former, log=self._log))
            wait_until_served(self.root, model, former, timedelta(seconds=_SETTLE_SECONDS))
        elif former is None and wanted == version:
            want_removed(self.root, model)
        if wanted == version != former:
            # It must not come into the way of a mended bundle of the same version.
            remove_bundle(self.root, model, version)

    def _failure(self, model: str, version: int, error: Exception) -> DeployFailed:
        return DeployFailed(model, version, self.name, str(error).rstrip("."), self.current(model))

    def _forget_bundles(self, model: str, keep: set[int | None] | frozenset[int | None]) -> None:
        """Delete the bundles of versions that nobody goes back to: there is a new one with every retrain."""
        for directory in (self.root / "models" / model).glob("[0-9]*"):
            if directory.name.isdigit() and int(directory.name) not in keep:
                remove_bundle(self.root, model, int(directory.name))

    def _has_settled(self) -> bool:
        """Whether nothing is about to change by itself: all workers acted on what is wanted, or there is no server."""
        server = read_server(self.root)
        if server is None:
            return process.find(self._service, self._home) is None
        generation = read_desired(self.root).generation
        return sum(worker.generation >= generation for worker in read_workers(self.root)) >= server.workers

    def _answers(self) -> bool:
        with suppress(EndpointUnreachable, EndpointRefused), self.endpoint(_ASK_SECONDS) as endpoint:
            endpoint.versions()
            return True
        return False

    def _answered_version(self, model: str) -> int | None:
        with suppress(EndpointUnreachable), self.endpoint(_ASK_SECONDS) as endpoint:
            return endpoint.versions().get(model)
        return None

    def _is_served(self, model: str) -> bool:
        return read_server(self.root) is not None and any(model in w.versions for w in read_workers(self.root))

    def _stop_unsupervised(self) -> bool:
        server = read_server(self.root)
        deadline = time.monotonic() + _STOP_SECONDS
        while (running := read_server(self.root)) is not None:
            with suppress(ProcessLookupError):
                os.kill(running.pid, signal.SIGTERM if time.monotonic() < deadline else signal.SIGKILL)
            time.sleep(10 * _POLL_SECONDS)
        return server is not None

    @contextmanager
    def _one_at_a_time(self, model: str, version: int | None) -> Iterator[None]:
        """Two deployments of one model at once would each undo what the other did."""
        deadline = time.monotonic() + _START_SECONDS + 2 * _DEPLOY_SECONDS
        while (lock := hold(self.root / f".deploy-{model}.lock")) is None:
            if time.monotonic() > deadline:
                if version is None:
                    raise RemoveFailed(model, self.name)
                raise DeployFailed(model, version, self.name, "another deployment of it goes on", self.current(model))
            time.sleep(_POLL_SECONDS)
        with lock:
            yield


def _bundle_of(model: str, directory: Path) -> Bundle:
    bundle = open_bundle(directory)
    if bundle.manifest.name != model:
        raise BundleDamaged(directory, "bundle.json", f"is about {bundle.manifest.name!r} and not about {model!r}")
    return bundle


def _importable() -> dict[str, str]:
    """The server runs the same everfresh as this process, from wherever that was started."""
    here = str(Path(everfresh.__file__).parents[1])
    return {"PYTHONPATH": os.pathsep.join(filter(None, [here, os.environ.get("PYTHONPATH")]))}
