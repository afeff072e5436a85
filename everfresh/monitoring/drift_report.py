"""What a drift check found out, column by column, as values and as a page."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from everfresh.monitoring.profile import Role
from everfresh.monitoring.tables import markdown_table, percent, plain

if TYPE_CHECKING:
    from everfresh.data.windows import Window

DriftStatus = Literal["DRIFT", "OK", "INSUFFICIENT"]
Kind = Literal["number", "category"]


@dataclass(frozen=True)
class ColumnDrift:
    """What happened to one column.

    Attributes:
        column: its name; `p.<class>` or `value` for a prediction.
        role: feature or prediction.
        kind: number or category.
        status: DRIFT, OK, or INSUFFICIENT where the window could not have shown an effect of `min_effect`.
        reason: the status as a sentence.
        effect: how far the values moved, in the unit of `effect_name`; 0 where they could not be compared.
        effect_name: "standard deviations" (numbers, on normal scores) or "total variation" (categories, 0 to 1).
        p_value: of the values' change; 1 where they could not be compared.
        missing_p_value: of the change of the share of missing values.
        missing_before: share of missing values in the reference, 0 to 1.
        missing_after: the same in the window.
        psi: the population stability index, for readers who are used to it.
        smallest_visible_effect: the smallest effect that this window shows with an even chance or better, if no other
            column drifts; None where nothing can be shown.
        effective_rows: how many independent rows the window's rows are worth.
        out_of_range: share of the window's values outside the reference's range; 0 for categories.
        new_categories: values that the reference does not have with their counts, the most frequent ten.
        before: the reference's values in words.
        after: the window's values in words.
    """

    column: str
    role: Role
    kind: Kind
    status: DriftStatus
    reason: str
    effect: float
    effect_name: str
    p_value: float
    missing_p_value: float
    missing_before: float
    missing_after: float
    psi: float
    smallest_visible_effect: float | None
    effective_rows: float
    out_of_range: float
    new_categories: tuple[tuple[str, int], ...]
    before: str
    after: str

    @property
    def alarmed(self) -> bool:
        """Whether this column is a reason for the report's alarm."""
        return self.status == "DRIFT"


@dataclass(frozen=True)
class DriftReport:
    """The judgement of one window: DRIFT if any column drifted, INSUFFICIENT if none could have shown that, else OK.

    Attributes:
        status: DRIFT, OK or INSUFFICIENT.
        reason: the status as a sentence.
        rows: rows in the window.
        level: the chance of a false alarm that this check was allowed, over all its columns.
        window: the stretch of time, None where it is not known.
        columns: features in the model's order, then predictions.
    """

    status: DriftStatus
    reason: str
    rows: int
    level: float
    window: Window | None
    columns: tuple[ColumnDrift, ...]

    @property
    def drifted(self) -> tuple[str, ...]:
        """The names of the columns that alarmed, the largest effect first."""
        return tuple(each.column for each in self.by_effect() if each.alarmed)

    @property
    def features(self) -> tuple[ColumnDrift, ...]:
        """What happened to the model's inputs."""
        return tuple(each for each in self.columns if each.role == "feature")

    @property
    def predictions(self) -> tuple[ColumnDrift, ...]:
        """What happened to the model's answers."""
        return tuple(each for each in self.columns if each.role == "prediction")

    def column(self, name: str) -> ColumnDrift:
        """The judgement of one column.

        Raises:
            KeyError: there is no such column.
        """
        for each in self.columns:
            if each.column == name:
                return each
        raise KeyError(name)

    def by_effect(self) -> tuple[ColumnDrift, ...]:
        """The columns, those that alarmed first, and the largest effect first among them and among the others."""
        return tuple(sorted(self.columns, key=lambda each: (not each.alarmed, -each.effect, each.column)))

    def to_json(self) -> dict[str, Any]:
        """The report as a mapping that JSON can hold."""
        window = self.window and {"start": self.window.start.isoformat(), "end": self.window.end.isoformat()}
        columns = [{**asdict(each), "new_categories": dict(each.new_categories)} for each in self.columns]
        return {
            "status": self.status,
            "reason": self.reason,
            "rows": self.rows,
            "level": self.level,
            "window": window,
            "columns": columns,
        }

    def to_markdown(self) -> str:
        """The status, its reason, and a table of the columns, the largest effect first."""
        parts = [f"**{self.status}**: {plain(self.reason)}"]
        if self.features:
            parts.append(_table("Feature", [each for each in self.by_effect() if each.role == "feature"]))
        if self.predictions:
            parts.append(_table("Prediction", [each for each in self.by_effect() if each.role == "prediction"]))
        parts.append(
            f"If nothing has changed, this check alarms with a probability of at most {self.level:.2g}, all columns "
            "together. *Visible from* is the smallest effect that the window's independent rows can show."
        )
        return "\n\n".join(parts)


def _table(title: str, columns: list[ColumnDrift]) -> str:
    head = (title, "Status", "Effect", "p", "Visible from", "Independent rows", "Missing", "Before", "After", "New")
    return markdown_table(head, [_row(each) for each in columns])


def _row(drift: ColumnDrift) -> tuple[str, ...]:
    unit = "sd" if drift.kind == "number" else "TV"
    visible = drift.smallest_visible_effect
    missing = percent(drift.missing_after)
    return (
        drift.column,
        drift.status,
        f"{drift.effect:.3f} {unit}",
        f"{drift.p_value:.1g}",
        "-" if visible is None else f"{visible:.3f} {unit}",
        f"{drift.effective_rows:,.0f}",
        missing if missing == percent(drift.missing_before) else f"{percent(drift.missing_before)} → {missing}",
        drift.before,
        drift.after,
        _news(drift),
    )


def _news(drift: ColumnDrift) -> str:
    if drift.new_categories:
        return ", ".join(f"{name} ({count:,})" for name, count in drift.new_categories)
    return f"{percent(drift.out_of_range)} out of range" if drift.out_of_range else ""
