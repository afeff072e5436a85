"""What a worker counts, and how Prometheus reads it."""

from __future__ import annotations

import bisect
import threading
from collections import Counter
from collections.abc import Iterator, Mapping

LATENCY_BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class Metrics:
    """Counters of one worker. Label values are names of models that are served, never what a request said."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._answers: Counter[str] = Counter()
        self._rows: Counter[str] = Counter()
        self._seconds: dict[str, float] = {}
        self._buckets: dict[str, list[int]] = {}
        self._responses: Counter[int] = Counter()
        self._labels: Counter[str] = Counter()
        self._log: Counter[str] = Counter(written=0, dropped=0)
        self._load_failures: Counter[str] = Counter()
        self._refused: Counter[str] = Counter()
        self._shed: Counter[str] = Counter()
        self._shadow: Counter[str] = Counter()

    def answered(self, model: str, version: int, requests: int, rows: int, seconds: float) -> None:
        """Count requests that were answered together: their rows, and how long it took to read and answer them."""
        labels = f'model="{model}",version="{version}"'
        with self._lock:
            self._answers[labels] += requests
            self._rows[labels] += rows
            self._seconds[labels] = self._seconds.get(labels, 0.0) + seconds * requests
            buckets = self._buckets.setdefault(labels, [0] * (len(LATENCY_BUCKETS_S) + 1))
            buckets[bisect.bisect_left(LATENCY_BUCKETS_S, seconds)] += requests

    def refused(self, model: str, version: int) -> None:
        """Count a request whose rows the model could not answer."""
        with self._lock:
            self._refused[f'model="{model}",version="{version}"'] += 1

    def shed(self, model: str) -> None:
        """Count a request that was turned away because too many waited."""
        with self._lock:
            self._shed[model] += 1

    def shadowed(self, model: str, version: int, rows: int, seconds: float) -> None:
        """Count rows that a shadow version answered."""
        with self._lock:
            self._shadow[f'model="{model}",version="{version}",outcome="answered"'] += rows

    def shadow_failed(self, model: str, version: int) -> None:
        """Count a batch that a shadow version failed on."""
        with self._lock:
            self._shadow[f'model="{model}",version="{version}",outcome="failed"'] += 1

    def shadow_left_out(self, model: str, rows: int) -> None:
        """Count rows that a shadow version was not asked, because too many waited for it."""
        with self._lock:
            self._shadow[f'model="{model}",outcome="left_out"'] += rows

    def responded(self, status: int) -> None:
        """Count an HTTP response."""
        with self._lock:
            self._responses[status] += 1

    def labelled(self, model: str, labels: int) -> None:
        """Count labels that came back."""
        with self._lock:
            self._labels[model] += labels

    def log_written(self, rows: int) -> None:
        """Count rows that reached the inference log."""
        with self._lock:
            self._log["written"] += rows

    def log_dropped(self, rows: int) -> None:
        """Count rows that the inference log lost."""
        with self._lock:
            self._log["dropped"] += rows

    def load_failed(self, model: str) -> None:
        """Count a version that could not be loaded."""
        with self._lock:
            self._load_failures[model] += 1

    def text(self, versions: Mapping[str, int]) -> str:
        """Everything in Prometheus' text format; `versions` are the ones that serve now."""
        with self._lock:
            return "\n".join(self._lines(versions)) + "\n"

    def _lines(self, versions: Mapping[str, int]) -> Iterator[str]:
        yield from _family("everfresh_model_version", "gauge", "The version that answers", versions, "model")
        yield from _family("everfresh_inferences_total", "counter", "Requests answered by a model", self._answers)
        yield from _family("everfresh_rows_total", "counter", "Rows answered by a model", self._rows)
        yield from self._histogram()
        yield from _family("everfresh_refusals_total", "counter", "Requests whose rows were refused", self._refused)
        yield from _family("everfresh_shed_total", "counter", "Requests turned away under load", self._shed, "model")
        yield from _family("everfresh_shadow_rows_total", "counter", "Rows copied to shadow versions", self._shadow)
        yield from _family("everfresh_responses_total", "counter", "HTTP responses", self._responses, "status")
        yield from _family("everfresh_labels_total", "counter", "Labels that came back", self._labels, "model")
        yield from _family("everfresh_log_rows_total", "counter", "Rows of the inference log", self._log, "outcome")
        yield from _family(
            "everfresh_load_failures_total",
            "counter",
            "Versions that could not be loaded",
            self._load_failures,
            "model",
        )

    def _histogram(self) -> Iterator[str]:
        name = "everfresh_inference_seconds"
        yield f"# HELP {name} Seconds from a decoded request to its answer."
        yield f"# TYPE {name} histogram"
        for labels, buckets in self._buckets.items():
            total = 0
            for limit, count in zip((*map(str, LATENCY_BUCKETS_S), "+Inf"), buckets, strict=True):
                total += count
                yield f'{name}_bucket{{{labels},le="{limit}"}} {total}'
            yield f"{name}_sum{{{labels}}} {self._seconds[labels]:.6f}"
            yield f"{name}_count{{{labels}}} {total}"


def _family(
    name: str, kind: str, meaning: str, values: Mapping[str, int] | Mapping[int, int], label: str | None = None
) -> Iterator[str]:
    yield f"# HELP {name} {meaning}."
    yield f"# TYPE {name} {kind}"
    for key, value in values.items():
        labels = f'{label}="{key}"' if label else str(key)
        yield f"{name}{{{labels}}} {value}"
