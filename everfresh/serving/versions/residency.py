"""A memory budget for models: those that were not asked for longest leave memory, and come back when they are asked.

A version that has left stays in the table, with all that is known about it. The first request after that loads it
again, from files that are checked again, in a thread; requests for other models do not notice.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from weakref import WeakSet

from everfresh.packaging.batch import Answer, Batch
from everfresh.packaging.manifest import ScoringPath
from everfresh.packaging.scorer import Scorer

logger = logging.getLogger(__name__)


class Residency:
    """Which scorers of a worker are in memory.

    Args:
        budget_bytes: how much they may take together, by `weigh`. One alone may take more: somebody asked for it.
    """

    def __init__(self, budget_bytes: int) -> None:
        self._budget = budget_bytes
        self._lock = threading.Lock()
        # Weak: a version that is no longer served must not be kept for having been counted.
        self._resident: WeakSet[LeavingScorer] = WeakSet()

    def hold(self, name: str, path: ScoringPath, weight: int, open_scorer: Callable[[], Scorer]) -> LeavingScorer:
        """A scorer that is loaded when it is first asked, and leaves when others need its place.

        Args:
            name: what it is called in the log.
            path: how it answers.
            weight: the bytes that it takes.
            open_scorer: loads it.
        """
        return LeavingScorer(self, name, path, weight, open_scorer)

    def came(self, scorer: LeavingScorer) -> None:
        """A scorer is in memory now; others leave until the budget holds."""
        with self._lock:
            self._resident.add(scorer)
            taken = sum(one.weight for one in self._resident)
            for other in sorted(self._resident, key=lambda one: one.used_at):
                if taken <= self._budget:
                    break
                if other is not scorer:
                    self._resident.discard(other)
                    other.leave()
                    taken -= other.weight
                    logger.info("%s leaves memory for %s", other.name, scorer.name)


class LeavingScorer:
    """A scorer that may leave memory between two requests."""

    def __init__(
        self, residency: Residency, name: str, path: ScoringPath, weight: int, open_scorer: Callable[[], Scorer]
    ) -> None:
        self.name = name
        self.path: ScoringPath = path
        self.weight = weight
        self.used_at = time.monotonic()
        self._residency = residency
        self._open = open_scorer
        self._loading = threading.Lock()
        self._scorer: Scorer | None = None

    @property
    def is_resident(self) -> bool:
        """Whether it can answer without being loaded first."""
        return self._scorer is not None

    def score(self, batch: Batch) -> Answer:
        """The answer of the scorer, which is loaded where it has left."""
        self.used_at = time.monotonic()
        # One reference for the whole answer: it may leave meanwhile.
        scorer = self._scorer or self._come_back()
        return scorer.score(batch)

    def leave(self) -> None:
        """Give the memory back, once the answers that are under way are there."""
        self._scorer = None

    def _come_back(self) -> Scorer:
        with self._loading:
            scorer = self._scorer
            if scorer is not None:
                return scorer
            started = time.perf_counter()
            scorer = self._scorer = self._open()
        self._residency.came(self)
        logger.info("%s is in memory (%.2f s)", self.name, time.perf_counter() - started)
        return scorer
