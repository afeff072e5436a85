"""The report of a run: one sample for each window, written after each, so that a run that is killed keeps them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

START = ""
"""The cell of a sample that says why a server could not be measured at all."""


@dataclass(frozen=True)
class Sample:
    """What one window of one server gave.

    Attributes:
        server: who.
        model: which model.
        cell: what was measured.
        round: in which round.
        figures: what was seen, by name; the unit ends the name.
        problem: why the figures do not count, if they do not.
    """

    server: str
    model: str
    cell: str
    round: int
    figures: Mapping[str, float] = field(default_factory=dict)
    problem: str | None = None

    @property
    def key(self) -> tuple[str, str, str, int]:
        """What there is one sample of."""
        return self.server, self.model, self.cell, self.round


@dataclass
class Results:
    """All samples, and what is known about the run.

    Attributes:
        about: the machine, the versions, the settings.
        samples: in the order in which they were measured.
    """

    about: dict[str, Any] = field(default_factory=dict)
    samples: list[Sample] = field(default_factory=list)

    def has(self, server: str, model: str, cell: str, round_: int) -> bool:
        """Whether that was measured already, and well."""
        return any(s.key == (server, model, cell, round_) and s.problem is None for s in self.samples)

    def add(self, sample: Sample) -> None:
        """Keep a sample, in the place of an earlier one of the same window, or of a start that failed."""
        server, model, _, round_ = sample.key
        replaced = (sample.key, (server, model, START, round_))
        self.samples = [other for other in self.samples if other.key not in replaced] + [sample]

    def write(self, file: Path) -> None:
        """Write all of it; the file is never seen half-written."""
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary = file.with_name(f".{file.name}.{os.getpid()}")
        content = {"about": self.about, "samples": [asdict(sample) for sample in self.samples]}
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        temporary.replace(file)


def read_results(file: Path) -> Results:
    """A report that was written; an empty one where there is none."""
    if not file.exists():
        return Results()
    content = json.loads(file.read_text(encoding="utf-8"))
    return Results(content["about"], [Sample(**sample) for sample in content["samples"]])
