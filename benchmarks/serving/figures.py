"""From samples to figures: the median of the rounds, and ratios between servers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.serving.results import Sample


@dataclass(frozen=True)
class Figures:
    """The medians of every window, by server, model, cell and name."""

    samples: Sequence[Sample]

    def value(self, server: str, model: str, cell: str, name: str) -> float | None:
        """The median over the rounds; None where nothing was measured that counts."""
        values = [
            s.figures[name]
            for s in self.samples
            if (s.server, s.model, s.cell) == (server, model, cell) and s.problem is None and name in s.figures
        ]
        return median(values) if values else None

    def problem(self, server: str, model: str, cell: str) -> str | None:
        """Why there is no figure, if somebody knows."""
        here = [s for s in self.samples if (s.server, s.model, s.cell) == (server, model, cell)]
        return next((s.problem for s in reversed(here) if s.problem is not None), None)

    def rounds(self, server: str, model: str, cell: str) -> int:
        """How many windows count."""
        return sum((s.server, s.model, s.cell) == (server, model, cell) and s.problem is None for s in self.samples)

    def rounds_begun(self) -> int:
        """In how many rounds anything was measured."""
        return len({s.round for s in self.samples})

    def best(self, servers: Iterable[str], model: str, cell: str, name: str) -> tuple[str, float] | None:
        """Who has the highest figure, and what it is."""
        return self._extreme(servers, model, cell, name, 1)

    def lowest(self, servers: Iterable[str], model: str, cell: str, name: str) -> tuple[str, float] | None:
        """Who has the lowest figure, and what it is."""
        return self._extreme(servers, model, cell, name, -1)

    def _extreme(self, servers: Iterable[str], model: str, cell: str, name: str, sign: int) -> tuple[str, float] | None:
        known = [(server, self.value(server, model, cell, name)) for server in servers]
        measured = [(server, value) for server, value in known if value is not None]
        return max(measured, key=lambda pair: sign * pair[1], default=None)


def ratio(above: float | None, below: float | None) -> float | None:
    """How many times; None where one of them is not known.

    >>> ratio(50.0, 2.0), ratio(None, 2.0)
    (25.0, None)
    """
    return above / below if above is not None and below else None
