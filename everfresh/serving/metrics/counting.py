"""What a worker counts: requests and rows, how long they took, and what was refused, dropped or left out."""

from __future__ import annotations

import bisect
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Family:
    """Numbers of one kind. A histogram has the upper limits of its buckets; the last bucket has none."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    meaning: str
    limits: tuple[float, ...] = ()


_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
_ROWS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 1000.0, 10_000.0)

INFERENCES = Family("everfresh_inferences_total", "counter", "Requests answered by a model")
ROWS = Family("everfresh_rows_total", "counter", "Rows answered by a model")
SECONDS = Family("everfresh_inference_seconds", "histogram", "Seconds from a request's arrival to its answer", _SECONDS)
BATCH_ROWS = Family("everfresh_batch_rows", "histogram", "Rows that a model answered in one go", _ROWS)
REFUSALS = Family("everfresh_refusals_total", "counter", "Requests whose rows a model could not answer")
SHED = Family("everfresh_shed_total", "counter", "Requests turned away because too many waited")
EXPIRED = Family("everfresh_expired_total", "counter", "Requests whose own time limit was over before their turn")
SHADOW = Family("everfresh_shadow_rows_total", "counter", "Rows copied to shadow versions")
RESPONSES = Family("everfresh_responses_total", "counter", "HTTP responses")
CALLS = Family("everfresh_calls_total", "counter", "Calls of gRPC")
LABELS = Family("everfresh_labels_total", "counter", "Labels that came back")
LOG = Family("everfresh_log_rows_total", "counter", "Rows of the inference log")
LOG_FILES = Family("everfresh_log_files_total", "counter", "Files of the inference log on their way to S3 or Azure")
LOAD_FAILURES = Family("everfresh_load_failures_total", "counter", "Versions that could not be loaded")
IN_FLIGHT = Family("everfresh_requests_in_flight", "gauge", "Requests that are being answered")
WAITING_ROWS = Family("everfresh_waiting_rows", "gauge", "Rows that wait for a model's turn")

FAMILIES = (
    INFERENCES, ROWS, SECONDS, BATCH_ROWS, REFUSALS, SHED, EXPIRED, SHADOW, RESPONSES, CALLS, LABELS, LOG,
    LOG_FILES, LOAD_FAILURES, IN_FLIGHT, WAITING_ROWS,
)  # fmt: skip


@dataclass
class Snapshot:
    """The numbers of a moment, by family and labels; those of several workers can be added up.

    Attributes:
        values: counters and gauges.
        buckets: for each histogram the sum of what was observed, and then how often each bucket was hit.
    """

    values: dict[str, dict[Labels, float]] = field(default_factory=dict)
    buckets: dict[str, dict[Labels, list[float]]] = field(default_factory=dict)

    def add(self, other: Snapshot) -> None:
        """Add the numbers of another worker."""
        for name, series in other.values.items():
            mine = self.values.setdefault(name, {})
            for labels, value in series.items():
                mine[labels] = mine.get(labels, 0) + value
        for name, histogram in other.buckets.items():
            ours = self.buckets.setdefault(name, {})
            for labels, counts in histogram.items():
                before = ours.get(labels, [0.0] * len(counts))
                ours[labels] = [one + more for one, more in zip(before, counts, strict=True)]

    def to_json(self) -> dict[str, Any]:
        """What `from_json` reads."""
        return {
            "values": {
                name: [[list(labels), value] for labels, value in series.items()]
                for name, series in self.values.items()
            },
            "buckets": {
                name: [[list(labels), value] for labels, value in series.items()]
                for name, series in self.buckets.items()
            },
        }

    @classmethod
    def from_json(cls, content: Any) -> Snapshot:
        """The numbers that another worker wrote."""
        return cls(values=_series(content["values"]), buckets=_series(content["buckets"]))


class Metrics:
    """The numbers of one worker. Labels are names of models that are served, never what a request said."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._now = Snapshot()
        self._gauges: list[tuple[Family, Callable[[], Mapping[Labels, float]]]] = []
        self._count(LOG, 0, outcome="written")
        self._count(LOG, 0, outcome="dropped")

    def snapshot(self) -> Snapshot:
        """The numbers of this moment."""
        copy = Snapshot()
        with self._lock:
            copy.add(self._now)
        for gauge, look in self._gauges:
            copy.add(Snapshot({gauge.name: dict(look())}))
        return copy

    def answered(self, model: str, version: int, rows: int, seconds: Sequence[float]) -> None:
        """Count requests that were answered together: their rows, and how long each of them took."""
        labels = (("model", model), ("version", str(version)))
        with self._lock:
            self._add(INFERENCES, labels, len(seconds))
            self._add(ROWS, labels, rows)
            self._observe(SECONDS, labels, seconds)
            self._observe(BATCH_ROWS, labels, (rows,))

    def refused(self, model: str, version: int) -> None:
        """Count a request whose rows the model could not answer."""
        self._count(REFUSALS, 1, model=model, version=str(version))

    def shed(self, model: str) -> None:
        """Count a request that was turned away because too many waited."""
        self._count(SHED, 1, model=model)

    def expired(self, model: str) -> None:
        """Count a request whose asker had gone before its turn."""
        self._count(EXPIRED, 1, model=model)

    def look_at(self, gauge: Family, look: Callable[[], Mapping[Labels, float]]) -> None:
        """Have a gauge looked up whenever somebody asks, by a function that is cheap and safe on any thread.

        What several functions say of one gauge is added up.
        """
        self._gauges.append((gauge, look))

    def shadowed(self, model: str, version: int, rows: int) -> None:
        """Count rows that a shadow version answered."""
        self._count(SHADOW, rows, model=model, version=str(version), outcome="answered")

    def shadow_failed(self, model: str, version: int, rows: int) -> None:
        """Count rows that a shadow version failed on."""
        self._count(SHADOW, rows, model=model, version=str(version), outcome="failed")

    def shadow_left_out(self, model: str, version: int, rows: int) -> None:
        """Count rows that a shadow version was not asked, because too many waited for it."""
        self._count(SHADOW, rows, model=model, version=str(version), outcome="left_out")

    def responded(self, status: int) -> None:
        """Count an HTTP response."""
        with self._lock:
            self._add(RESPONSES, (("status", str(status)),), 1)

    def called(self, status: str) -> None:
        """Count a call of gRPC that was answered."""
        self._count(CALLS, 1, status=status)

    def labelled(self, model: str, labels: int) -> None:
        """Count labels that came back."""
        self._count(LABELS, labels, model=model)

    def log_written(self, rows: int) -> None:
        """Count rows that reached the inference log."""
        self._count(LOG, rows, outcome="written")

    def log_dropped(self, rows: int) -> None:
        """Count rows that the inference log lost."""
        self._count(LOG, rows, outcome="dropped")

    def log_sampled_out(self, rows: int) -> None:
        """Count rows that the inference log leaves out because its policy samples."""
        self._count(LOG, rows, outcome="sampled_out")

    def log_file_shipped(self, outcome: str, files: int = 1) -> None:
        """Count files that were `shipped` to where the log goes, or rounds of shipping that `failed`."""
        self._count(LOG_FILES, files, outcome=outcome)

    def load_failed(self, model: str) -> None:
        """Count a version that could not be loaded."""
        self._count(LOAD_FAILURES, 1, model=model)

    def _count(self, family: Family, number: float, **labels: str) -> None:
        with self._lock:
            self._add(family, tuple(labels.items()), number)

    def _add(self, family: Family, labels: Labels, number: float) -> None:
        series = self._now.values.setdefault(family.name, {})
        series[labels] = series.get(labels, 0) + number

    def _observe(self, family: Family, labels: Labels, numbers: Iterable[float]) -> None:
        series = self._now.buckets.setdefault(family.name, {})
        counts = series.get(labels)
        if counts is None:
            counts = series[labels] = [0.0] * (len(family.limits) + 2)
        for number in numbers:
            counts[0] += number
            counts[1 + bisect.bisect_left(family.limits, number)] += 1


def _series(content: Any) -> dict[str, dict[Labels, Any]]:
    return {
        name: {tuple((key, text) for key, text in labels): value for labels, value in pairs}
        for name, pairs in content.items()
    }
