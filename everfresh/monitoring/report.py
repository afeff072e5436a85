"""One check of one model, for people: what drifted, how good it still is, what is wrong with the data."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from everfresh.monitoring.drift_report import DriftReport
from everfresh.monitoring.performance import PerformanceReport
from everfresh.monitoring.tables import markdown_table, plain

if TYPE_CHECKING:
    from everfresh.data.windows import Window

MonitoringStatus = Literal["ALARM", "OK", "INSUFFICIENT"]


@dataclass(frozen=True)
class MonitoringReport:
    """Everything one check found out.

    Attributes:
        project: the project's name.
        version: the version that served the window.
        as_of: the moment that was judged, in the time of the data.
        window: the stretch of time that was judged.
        drift: of features and predictions; None if it was not measured.
        performance: one report per metric; empty if it was not measured.
        quality: violations of the schema, one sentence each.
    """

    project: str
    version: int
    as_of: datetime
    window: Window
    drift: DriftReport | None = None
    performance: tuple[PerformanceReport, ...] = ()
    quality: tuple[str, ...] = ()

    @property
    def status(self) -> MonitoringStatus:
        """ALARM if anything drifted, dropped or is broken; OK if something could be judged, and nothing was wrong."""
        judged = [report.status for report in (self.drift, *self.performance) if report is not None]
        if self.quality or "DRIFT" in judged or "DROPPED" in judged:
            return "ALARM"
        return "OK" if "OK" in judged else "INSUFFICIENT"

    @property
    def looks_stale(self) -> bool:
        """Whether the data drifted or the metric dropped: what a retrain may mend, as broken data is not."""
        drifted = self.drift is not None and self.drift.status == "DRIFT"
        return drifted or any(report.status == "DROPPED" for report in self.performance)

    @property
    def reason(self) -> str:
        """The status in sentences: what is wrong first, else what was found."""
        reports = [report for report in (self.drift, *self.performance) if report is not None]
        wrong = [*self.quality, *(report.reason for report in reports if report.status in ("DRIFT", "DROPPED"))]
        return " ".join(wrong or [report.reason for report in reports]) or "Nothing was measured."

    def to_json(self) -> dict[str, Any]:
        """The report as a mapping that JSON can hold."""
        return {
            "project": self.project,
            "version": self.version,
            "as_of": self.as_of.isoformat(),
            "window": {"start": self.window.start.isoformat(), "end": self.window.end.isoformat()},
            "status": self.status,
            "reason": self.reason,
            "drift": self.drift.to_json() if self.drift else None,
            "performance": [each.to_json() for each in self.performance],
            "quality": list(self.quality),
        }

    def to_markdown(self) -> str:
        """The report as a page: the status and its reason first, then the tables."""
        parts = [f"# {self.project} v{self.version}: {self.status}", plain(self.reason), f"Window: {self.window}."]
        if self.quality:
            parts += ["## Data quality", "\n".join(f"- {plain(sentence)}" for sentence in self.quality)]
        if self.drift:
            parts += ["## Drift", self.drift.to_markdown()]
        if self.performance:
            parts += ["## Performance on matured labels", _performance_table(self.performance)]
        return "\n\n".join(parts) + "\n"


def _performance_table(reports: tuple[PerformanceReport, ...]) -> str:
    head = ("Metric", "Status", "Score", "95 % interval", "At training", "Labelled", "Reason")
    return markdown_table(head, [_performance_row(each) for each in reports])


def _performance_row(report: PerformanceReport) -> tuple[str, ...]:
    interval = "-" if report.low is None or report.high is None else f"{report.low:.3f} to {report.high:.3f}"
    return (
        report.metric,
        report.status,
        "-" if report.score is None else f"{report.score:.3f}",
        interval,
        "-" if report.reference_score is None else f"{report.reference_score:.3f}",
        f"{report.labelled:,} of {report.served:,}",
        report.reason,
    )
