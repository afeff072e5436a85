"""How good the serving version is, on those of its rows whose labels have had time to come in."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from scipy.special import ndtri

from everfresh.spec.metrics import Metric, higher_is_better

if TYPE_CHECKING:
    import pandas as pd

    Array = np.ndarray[Any, np.dtype[Any]]

PerformanceStatus = Literal["OK", "DROPPED", "INSUFFICIENT"]
ScoreFunction = Callable[[Metric, Any, Any, Sequence[str]], float]
"""`everfresh.evaluation.metrics.score`, or one like it: metric, labels, answer, classes."""

FEWEST_LABELLED_ROWS = 50
FEWEST_OF_A_CLASS = 10
_CONFIDENCE = 0.95
_BLOCKS = 50
_DRAWS = 200
_DRAWS_WITHIN_ROWS = 4_000_000  # rows scored in all draws together: a second or so


@dataclass(frozen=True)
class MaturedRows:
    """Rows of one version, old enough to have a label by now, in the order of time.

    Attributes:
        labels: text [labelled] for a classification, float64 [labelled] for a regression.
        answer: probabilities [labelled, classes], or values [labelled].
        classes: in the order of `answer`; empty for a regression.
        served: all matured rows, labelled or not.
        young: rows that are not matured yet, which say nothing.
    """

    labels: Array
    answer: Array
    classes: tuple[str, ...]
    served: int
    young: int

    @property
    def labelled(self) -> int:
        """Matured rows whose label is there."""
        return len(self.labels)

    @property
    def maturity(self) -> float:
        """Share of the matured rows whose label is there, 0 to 1; 0 without rows."""
        return self.labelled / self.served if self.served else 0.0


@dataclass(frozen=True)
class PerformanceReport:
    """The judgement of a version on its matured rows.

    Attributes:
        metric: what was measured.
        status: OK, DROPPED, or INSUFFICIENT where too few labels are there.
        reason: the status as a sentence.
        score: on the matured rows; None where it cannot be computed.
        low: lower end of the 95 % confidence interval of `score`.
        high: its upper end.
        reference_score: the score stored at training; None if there is none.
        drop: by how much `score` is worse than `reference_score`; negative where it is better.
        labelled: rows with a label.
        served: rows that should have one by now.
        young: rows that are too young to have one.
    """

    metric: Metric
    status: PerformanceStatus
    reason: str
    score: float | None
    low: float | None
    high: float | None
    reference_score: float | None
    drop: float | None
    labelled: int
    served: int
    young: int

    def to_json(self) -> dict[str, Any]:
        """The report as a mapping that JSON can hold."""
        return asdict(self)


def matured_rows(log: pd.DataFrame, classes: Sequence[str], *, label_delay: timedelta, as_of: datetime) -> MaturedRows:
    """The rows of `log` with time + `label_delay` <= `as_of`.

    Without this, the first labels to come in would be judged alone, and they are rarely typical: who pays back at once
    is known today, who does not pay back is known next year.

    Args:
        log: the inference log joined with its labels: `time`, `label` (text, missing where there is none yet) and
            `p.<class>` or `value`; of one version.
        classes: in the order of the model; empty for a regression.
        label_delay: how long after a row its label is known.
        as_of: the moment that is judged, with a time zone.
    """
    mature = log[log["time"] + label_delay <= as_of].sort_values("time", kind="stable")
    labelled = mature[mature["label"].notna()]
    labels: Array
    answer: Array
    if classes:
        # Of a fixed width, which sorts many times faster than objects: every draw of the bootstrap sorts them.
        labels = labelled["label"].to_numpy(dtype=object).astype(np.str_)
        answer = labelled[[f"p.{name}" for name in classes]].to_numpy(dtype=np.float64)
    else:
        labels = labelled["label"].astype("float64").to_numpy()
        answer = labelled["value"].to_numpy(dtype=np.float64)
    return MaturedRows(labels, answer, tuple(classes), served=len(mature), young=len(log) - len(mature))


def measure_performance(
    rows: MaturedRows,
    metric: Metric,
    score: ScoreFunction,
    *,
    reference_score: float | None,
    worth_a_drop: float | None,
    level: float = 0.025,
    seed: int,
) -> PerformanceReport:
    """The score on matured rows, and whether it has dropped.

    DROPPED needs both, as drift does: the score is worse than `reference_score` by at least `worth_a_drop`, and chance
    explains such a drop with a probability below `level`. The score at training is taken as exact.

    Args:
        rows: by `matured_rows`.
        metric: what to measure.
        score: how to compute it.
        reference_score: the champion's score at training, on rows it was not fitted on.
        worth_a_drop: in the metric's unit, above 0; None where no drop is worth an alarm.
        level: one-sided; for a promised number of false alarms a year, take `schedule.level_per_check`.
        seed: of the bootstrap.
    """
    if reason := _too_little(rows):
        return _report(rows, metric, "INSUFFICIENT", reason, reference_score=reference_score)
    measured = float(score(metric, rows.labels, rows.answer, rows.classes))
    error = _standard_error(rows, metric, score, seed)
    if not math.isfinite(measured) or not math.isfinite(error):
        reason = f"{metric} cannot be computed on these {rows.labelled:,} rows."
        return _report(rows, metric, "INSUFFICIENT", reason, reference_score=reference_score)
    if reference_score is None:
        reason = f"{metric} is {measured:.3f}, and there is no score from training to compare it with."
        return _report(rows, metric, "INSUFFICIENT", reason, score=measured, error=error)
    drop = (reference_score - measured) if higher_is_better(metric) else (measured - reference_score)
    surely = drop - float(-ndtri(level)) * error
    dropped = worth_a_drop is not None and drop >= worth_a_drop and surely > 0
    return _report(
        rows,
        metric,
        "DROPPED" if dropped else "OK",
        _sentence(rows, metric, measured, reference_score, drop, dropped=dropped, worth_a_drop=worth_a_drop),
        score=measured,
        error=error,
        reference_score=reference_score,
        drop=drop,
    )


def _too_little(rows: MaturedRows) -> str | None:
    if rows.labelled < FEWEST_LABELLED_ROWS:
        return (
            f"{rows.labelled} of {rows.served:,} matured rows have a label; "
            f"below {FEWEST_LABELLED_ROWS} nothing is judged ({rows.young:,} rows are too young)."
        )
    for name in rows.classes:
        of_class = int((rows.labels == name).sum())
        if of_class < FEWEST_OF_A_CLASS:
            return f"The class {name!r} has {of_class} labelled rows; below {FEWEST_OF_A_CLASS} nothing is judged."
    return None


def _standard_error(rows: MaturedRows, metric: Metric, score: ScoreFunction, seed: int) -> float:
    """The spread of the score over resampled blocks of neighbouring rows, which keeps what hangs together together.

    A block bootstrap (Kuensch, Annals of Statistics 17, 1989). Its standard error is stable after 200 draws, which its
    outer percentiles are not; so intervals are made from it, and a large table gets fewer draws.
    """
    generator = np.random.default_rng(seed)
    blocks = np.array_split(np.arange(rows.labelled), min(_BLOCKS, rows.labelled))
    draws = int(np.clip(_DRAWS_WITHIN_ROWS // rows.labelled, 50, _DRAWS))
    scores = []
    for _ in range(draws):
        drawn = np.concatenate([blocks[index] for index in generator.integers(0, len(blocks), len(blocks))])
        scores.append(score(metric, rows.labels[drawn], rows.answer[drawn], rows.classes))
    finite = np.asarray(scores, dtype=np.float64)
    finite = finite[np.isfinite(finite)]
    return float(finite.std(ddof=1)) if len(finite) > draws / 2 else math.nan


def _sentence(
    rows: MaturedRows,
    metric: Metric,
    measured: float,
    reference: float,
    drop: float,
    *,
    dropped: bool,
    worth_a_drop: float | None,
) -> str:
    change = f"{abs(drop):.3f} {'worse' if drop > 0 else 'better'} than the {reference:.3f} at training"
    verdict = f"{metric} is {measured:.3f} on {rows.labelled:,} labelled rows, {change}"
    if dropped or worth_a_drop is None:
        return f"{verdict}."
    if drop >= worth_a_drop:
        return f"{verdict}, which chance can explain."
    return f"{verdict}; a drop is from {worth_a_drop:g} on."


def _report(
    rows: MaturedRows,
    metric: Metric,
    status: PerformanceStatus,
    reason: str,
    *,
    score: float | None = None,
    error: float | None = None,
    reference_score: float | None = None,
    drop: float | None = None,
) -> PerformanceReport:
    margin = None if error is None else float(-ndtri((1 - _CONFIDENCE) / 2)) * error
    known = score is not None and margin is not None
    return PerformanceReport(
        metric=metric,
        status=status,
        reason=reason,
        score=score,
        low=score - margin if known else None,  # type: ignore[operator]
        high=score + margin if known else None,  # type: ignore[operator]
        reference_score=reference_score,
        drop=drop,
        labelled=rows.labelled,
        served=rows.served,
        young=rows.young,
    )
