"""Following the desired state: load what is asked for beside what serves, and swap it in only when it is proven."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from everfresh.data.inference_log.policy import LogPolicy
from everfresh.errors import EverfreshError, StateUnreadable
from everfresh.serving.metrics.counting import Metrics
from everfresh.serving.versions.desired import DesiredModel
from everfresh.serving.versions.models import LoadedModel, ModelTable, ServedModel, load_model
from everfresh.serving.versions.residency import Residency
from everfresh.serving.versions.state import (
    DesiredState,
    WorkerReport,
    bundle_directory,
    forget_worker,
    read_desired,
    write_worker,
)

logger = logging.getLogger(__name__)

LOOK_EVERY_S = 0.05
RETRY_AFTER_S = 5.0

_NEVER_SEEN = (0, 0, 0)


class StateWatcher:
    """Brings one worker's models to the desired state, and reports what came of it.

    A version that cannot be loaded is tried again every few seconds while it is desired; what serves goes on serving.
    """

    def __init__(
        self,
        root: Path,
        models: ModelTable,
        metrics: Metrics,
        set_policy: Callable[[str, LogPolicy], None],
        residency: Residency | None = None,
    ) -> None:
        self._root = root
        self._models = models
        self._metrics = metrics
        self._set_policy = set_policy
        self._residency = residency
        self._stopping = threading.Event()
        self._has_looked = threading.Event()
        self._thread = threading.Thread(target=self._run, name="desired-state", daemon=True)
        self._seen: tuple[int, int, int] | None = _NEVER_SEEN
        self._desired: DesiredState | None = None
        self._errors: dict[str, str] = {}
        self._retry_at = 0.0

    @property
    def is_ready(self) -> bool:
        """Whether every desired model has a version that answers."""
        desired = self._desired
        return desired is not None and bool(desired.models) and desired.models.keys() <= self._models.current.keys()

    def start(self) -> None:
        """Begin to follow the desired state."""
        self._thread.start()

    def wait_for_first(self, seconds: float) -> None:
        """Wait until what was asked for before the start is loaded, but not for ever."""
        self._has_looked.wait(seconds)

    def stop(self) -> None:
        """Stop following, and take the report away."""
        self._stopping.set()
        self._thread.join()
        with suppress(OSError):  # the report is forgotten by the next server, too
            forget_worker(self._root, os.getpid())

    def look(self) -> None:
        """Act on the desired state if it changed, or if a version that failed is due again."""
        signature = _signature(self._root / "serving.json")
        is_due = bool(self._errors) and time.monotonic() >= self._retry_at
        if signature == self._seen and not is_due:
            return
        self._seen = signature
        try:
            desired = read_desired(self._root)
        except StateUnreadable as error:
            logger.error("%s", error)
            return
        self._converge(desired)

    def _run(self) -> None:
        while not self._stopping.wait(0 if self._seen is _NEVER_SEEN else LOOK_EVERY_S):
            try:
                self.look()
            except Exception:
                # The thread must outlive whatever a file system or a bundle has in store for it.
                logger.exception("The desired state could not be followed")
                self._seen = _NEVER_SEEN
                self._stopping.wait(RETRY_AFTER_S)
            self._has_looked.set()

    def _converge(self, desired: DesiredState) -> None:
        errors: dict[str, str] = {}
        for name, model in desired.models.items():
            error = self._serve(name, model)
            if error is not None:
                errors[name] = error
        for name in self._models.current.keys() - desired.models.keys():
            self._models.take_out(name)
            logger.info("%s is no longer served", name)
        self._errors = errors
        self._retry_at = time.monotonic() + RETRY_AFTER_S
        self._desired = desired
        self._models.is_complete = True
        versions, loaded = self._models.versions(), self._models.loaded()
        write_worker(self._root, WorkerReport(os.getpid(), desired.generation, versions, errors, loaded))

    def _serve(self, name: str, desired: DesiredModel) -> str | None:
        """Swap in what is asked for; the sentence that says why not, for the first version that could not be loaded.

        A default version that cannot be loaded changes nothing; one beside it that cannot is left out.
        """
        served = self._models.current.get(name)
        loaded = dict(served.versions) if served is not None else {}
        error = None
        for version in desired.versions:
            if version in loaded:
                continue
            found = self._load(name, version, served.default if served is not None else None)
            if isinstance(found, LoadedModel):
                loaded[version] = found
                continue
            error = error or found
            if version == desired.version:
                return error
        # First: not one request of the version may be logged by another policy.
        self._set_policy(name, desired.log)
        self._models.swap_in(ServedModel.of(desired, loaded))
        return error

    def _load(self, name: str, version: int, before: LoadedModel | None) -> LoadedModel | str:
        """The version, or the sentence that says why it cannot be loaded."""
        started = time.perf_counter()
        try:
            directory = bundle_directory(self._root, name, version)
            model = load_model(directory, name, version, before=before, residency=self._residency)
        except Exception as error:
            # A bundle may fail in ways that nobody listed; none of them may stop what serves.
            sentence = str(error) if isinstance(error, EverfreshError) else f"{type(error).__name__}: {error}"
            if self._errors.get(name) != sentence:
                logger.error("%s v%s could not be loaded: %s", name, version, sentence)
                self._metrics.load_failed(name)
            return sentence
        logger.info("%s v%s is loaded (%s, %.2f s)", name, version, model.scorer.path, time.perf_counter() - started)
        return model


def _signature(file: Path) -> tuple[int, int, int] | None:
    """What changes when a file is replaced: its inode, its time, its size."""
    try:
        stat = file.stat()
    except FileNotFoundError:
        return None
    return stat.st_ino, stat.st_mtime_ns, stat.st_size
