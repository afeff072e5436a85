"""What the gates look at: measured beforehand by whoever has files, models and servers at hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from everfresh.evaluation.metrics import Answer, Labels
from everfresh.spec.metrics import Task

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Champion:
    """What the serving version says of the same rows.

    Attributes:
        version: its version in the registry.
        answer: its answer, aligned to the evidence's classes; None where it could not answer.
        why_not: why it could not answer, as a clause; a champion that fails is never taken for none.
    """

    version: int
    answer: Answer | None
    why_not: str = ""


@dataclass(frozen=True)
class Servable:
    """What happened when the real inference server was booted with the challenger and sent real rows.

    Attributes:
        p99_ms: the 99th percentile of the answers' times, in milliseconds; None where nothing was answered.
        requests: how many requests were sent.
        failures: how many of them were not answered as they must be.
        error: why the server did not boot, as a clause; empty where it did.
    """

    p99_ms: float | None
    requests: int
    failures: int
    error: str = ""


@dataclass(frozen=True)
class Evidence:
    """The holdout with every answer on it, and what was measured about the bundle.

    Attributes:
        task: which kind of answers these are.
        classes: the classes of all answers, in order; empty for a regression. See `align_answer`.
        y: the holdout's labels: text for classification, float64 for regression.
        challenger: the challenger's answer.
        baseline: the answer of the dummy to beat.
        champion: None where nothing has been promoted yet.
        slices: the holdout's columns, for gates that look at groups of rows.
        times: the rows' times as datetime64, where the table has times; rows of one time resemble each other, and
            the comparison with the champion allows for that.
        parity: the largest absolute difference between the bundle's answer and the fitted model's; None where it was
            not measured.
        servable: None where it was not measured.
    """

    task: Task
    classes: tuple[str, ...]
    y: Labels
    challenger: Answer
    baseline: Answer
    champion: Champion | None = None
    slices: pd.DataFrame | None = None
    times: NDArray[np.datetime64] | None = None
    parity: float | None = None
    servable: Servable | None = None

    def __post_init__(self) -> None:
        """Refuse parts that do not describe the same rows.

        Raises:
            ValueError: a part has another number of rows or classes.
        """
        rows = len(self.y)
        answer = (rows, len(self.classes)) if self.task == "classification" else (rows,)
        _refuse_other_shapes("challenger", self.challenger, answer)
        _refuse_other_shapes("baseline", self.baseline, answer)
        if self.champion is not None and self.champion.answer is not None:
            _refuse_other_shapes("champion", self.champion.answer, answer)
        if self.times is not None:
            _refuse_other_shapes("times", self.times, (rows,))
        if self.slices is not None and len(self.slices) != rows:
            raise ValueError(f"slices has {len(self.slices)} rows, the labels have {rows}")


def align_answer(answer: Answer, classes: Sequence[str], wanted: Sequence[str]) -> Answer:
    """An answer in the order of `classes` as one in the order of `wanted`; a class it does not know gets 0.

    Two models that learned different classes are compared on all of them: `wanted` is the union of both.

    Raises:
        ValueError: `wanted` leaves out one of `classes`, and with it probability.

    >>> align_answer(np.array([[0.3, 0.7]]), ("a", "c"), ("a", "b", "c")).tolist()
    [[0.3, 0.0, 0.7]]
    """
    lost = [name for name in classes if name not in wanted]
    if lost:
        raise ValueError(f"the class {lost[0]!r} is not among {', '.join(wanted)}")
    aligned = np.zeros((len(answer), len(wanted)))
    aligned[:, [list(wanted).index(name) for name in classes]] = answer
    return aligned


def _refuse_other_shapes(part: str, array: NDArray[Any], wanted: tuple[int, ...]) -> None:
    if array.shape != wanted:
        raise ValueError(f"{part} has the shape {array.shape}, the labels and classes need {wanted}")
