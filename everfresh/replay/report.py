"""What a replay found, month by month."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

Scores = Mapping[str, Mapping[str, float | None]]
"""Metric -> who -> score; who is `served`, `never_retrained` or `majority`. None where these rows cannot tell."""


@dataclass(frozen=True)
class Month:
    """One calendar month of traffic.

    Attributes:
        month: as in 2013-03.
        rows: how many were served.
        drift: DRIFT if any check of the month said so, else OK if one could judge, else INSUFFICIENT.
        checks: how many checks there were, and how many of them said DRIFT.
        served_version: the version that answered the last row of the month.
        why: why that version serves.
        scores: on the rows that have a label.
    """

    month: str
    rows: int
    drift: str
    checks: tuple[int, int]
    served_version: int
    why: str
    scores: Scores


@dataclass(frozen=True)
class ReplayReport:
    """A whole replay.

    Attributes:
        project: the project's name.
        months: in their order.
        retrains: how many versions were trained after the first one, whatever became of them.
        promotions: how many of them were promoted.
        seconds: how long it took.
        addresses: what was started, by name.
    """

    project: str
    months: tuple[Month, ...]
    retrains: int
    promotions: int
    seconds: float
    addresses: Mapping[str, str]

    def to_json(self) -> dict[str, Any]:
        """What `reports/run.json` holds."""
        return {
            "project": self.project,
            "months": [_month(month) for month in self.months],
            "retrains": self.retrains,
            "promotions": self.promotions,
            "seconds": round(self.seconds, 1),
            "addresses": dict(self.addresses),
        }


def month_drift(verdicts: Sequence[str]) -> str:
    """What the checks of a month say together.

    >>> month_drift(["OK", "DRIFT", "OK"]), month_drift(["INSUFFICIENT", "OK"]), month_drift([])
    ('DRIFT', 'OK', 'INSUFFICIENT')
    """
    return next((verdict for verdict in ("DRIFT", "OK") if verdict in verdicts), "INSUFFICIENT")


def _month(month: Month) -> dict[str, Any]:
    content = asdict(month)
    checks, drifted = content.pop("checks")
    return {**{k: v for k, v in content.items() if k != "scores"}, "checks": checks, "drifted": drifted, **month.scores}
