"""What every target can do. `everfresh.testing.targets` holds the tests that each of them passes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np


@dataclass(frozen=True)
class Prediction:
    """What a target answered.

    Attributes:
        answer: probabilities [rows, classes], or values [rows].
        version: the version that answered.
    """

    answer: np.ndarray[Any, np.dtype[np.float64]]
    version: int


class Target(Protocol):
    """A place that serves models by name. Every call is safe to repeat."""

    @property
    def name(self) -> str:
        """How the target is called in messages, as in `local:8080`."""
        ...

    @property
    def rollouts(self) -> frozenset[str]:
        """The kinds of rollout that it can do; a spec that asks for another is refused by `everfresh check`."""
        ...

    @property
    def inference_root(self) -> Path:
        """Where monitoring finds the inference log that requests leave, and the labels that come back."""
        ...

    def address(self, model: str) -> str:
        """Where requests for the model go."""
        ...

    def deploy(self, model: str, version: int, bundle: Path) -> None:
        """Let the version serve. When this returns, it answers; deploying what serves already changes nothing.

        Raises:
            DeployFailed: it does not answer; what served before still does.
        """
        ...

    def current(self, model: str) -> int | None:
        """The version that answers requests now, as the target itself says, or None."""
        ...

    def predict(self, model: str, columns: Mapping[str, Sequence[object]]) -> Prediction:
        """Answers for rows, given by column.

        Raises:
            NotServing: the target has no such model.
            ServingError: the target does not answer, or refuses the rows.
        """
        ...

    def remove(self, model: str) -> None:
        """Stop serving the model; quiet where it does not."""
        ...

    def forget(self, model: str) -> None:
        """As `remove`, and delete what the model left behind: its inference log and its labels."""
        ...
