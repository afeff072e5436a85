"""A thread that keeps the inference log in order beside the requests, in the time that they leave over."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from everfresh.data.inference_log import LogPolicy
from everfresh.data.inference_log.keeping import Kept, Round, Stopped, keep, models_in
from everfresh.data.inference_log.remote import VARIABLE, remote_log
from everfresh.serving.metrics.counting import Metrics

logger = logging.getLogger(__name__)

LOOK_EVERY_S = 10.0
LOOK_AT_ALL_EVERY_S = 900.0
LAST_SHIPPING_S = 5.0

_REST = 4.0
_LONGEST_REST_S = 2.0


class Keeper:
    """Merges, ships and removes the files of a log; several workers of one server may each have one.

    It works a fifth of the time at most: it rests four times as long as each of its steps took. A disk or a store that
    fails is told once, and tried again.
    """

    def __init__(self, root: Path, metrics: Metrics, environment: Mapping[str, str]) -> None:
        self._root = root
        self._metrics = metrics
        self._environment = environment
        self._ships = bool(environment.get(VARIABLE))
        self._policies: dict[str, LogPolicy] = {}
        self._stopping = threading.Event()
        self._deadline = float("inf")
        self._resumed = 0.0
        self._failures: dict[str, str] = {}
        self._thread = threading.Thread(target=self._run, name="inference-log-keeper", daemon=True)

    def set_policy(self, name: str, policy: LogPolicy) -> None:
        """How long the files of a model are kept."""
        self._policies[name] = policy

    def start(self) -> None:
        """Begin to keep order."""
        self._thread.start()

    def stop(self) -> None:
        """End; what is still to be shipped is, as far as a few seconds go."""
        self._deadline = time.monotonic() + LAST_SHIPPING_S
        self._stopping.set()
        if self._thread.is_alive():
            # A store that does not answer may take minutes to say so.
            self._thread.join(LAST_SHIPPING_S + 1.0)

    def _run(self) -> None:
        look_at_all = 0.0
        while not self._stopping.wait(LOOK_EVERY_S):
            everything = time.monotonic() >= look_at_all
            if everything:
                look_at_all = time.monotonic() + LOOK_AT_ALL_EVERY_S
            self._go_over(everything=everything)
        if self._ships:
            self._go_over(everything=True, ship_all=True)

    def _go_over(self, *, everything: bool, ship_all: bool = False) -> None:
        for name in models_in(self._root):
            self._resumed = time.perf_counter()
            try:
                how = Round(
                    now=datetime.now(UTC),
                    policy=self._policies.get(name),
                    remote=remote_log(self._environment),
                    everything=everything,
                    ship_all=ship_all,
                    breathe=self._hurry if ship_all else self._rest,
                )
                self._count(keep(self._root, name, how))
                self._failures.pop(name, None)
            except Stopped:
                return
            except Exception as error:  # whatever it is: the thread must live
                self._tell(name, error)

    def _count(self, kept: Kept | None) -> None:
        if kept is not None and kept.shipped:
            self._metrics.log_file_shipped("shipped", kept.shipped)

    def _tell(self, name: str, error: Exception) -> None:
        if self._ships:
            self._metrics.log_file_shipped("failed")
        kind = f"{type(error).__name__} {getattr(error, 'errno', None)}"
        if self._failures.get(name) != kind:
            self._failures[name] = kind
            logger.error("The inference log of %s cannot be kept in order, and is tried again: %s", name, error)

    def _rest(self) -> None:
        """Leave the processor to the requests for a while."""
        worked = time.perf_counter() - self._resumed
        if self._stopping.wait(min(_REST * worked, _LONGEST_REST_S)):
            raise Stopped
        self._resumed = time.perf_counter()

    def _hurry(self) -> None:
        if time.monotonic() > self._deadline:
            raise Stopped
