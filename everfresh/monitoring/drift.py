"""Whether production still looks like the rows that the model was trained on.

An alarm needs two things: a difference that chance does not explain, at a level that keeps the promised number of false
alarms a year over all columns and all checks; and an effect worth an alarm. A column that could not have shown such an
effect, because its rows are few or hang together, says INSUFFICIENT instead of OK.

The promise: if nothing has changed, about `false_alarms` checks a year alarm at most, on average. It needs a reference
long enough to show how its rows depend on each other (see `dependence`): a season that it does not contain is a change,
and is reported as one. `benchmarks/drift_false_alarms.py` measures it: far below the level for independent rows, up to
twice the level in the far tail where 60 days are worth only a dozen independent ones.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from everfresh.monitoring import significance
from everfresh.monitoring.drift_report import ColumnDrift, DriftReport, DriftStatus, Kind
from everfresh.monitoring.effects import (
    aligned_shares,
    largest_gap,
    mean_and_spread,
    psi,
    psi_of_numbers,
    score_distance,
    total_variation,
    typical_categories,
    typical_numbers,
)
from everfresh.monitoring.profile import (
    CategoryProfile,
    ColumnCounts,
    ColumnProfile,
    Counts,
    NumberProfile,
    Profile,
)
from everfresh.monitoring.schedule import level_per_check
from everfresh.monitoring.tables import percent
from everfresh.spec.monitoring import DriftSpec

if TYPE_CHECKING:
    from everfresh.data.windows import Window

FEWEST_ROWS = 50  # below it, a window is never judged
_MOST_NEW_CATEGORIES = 10
_VISIBLE_WITHOUT_FLOOR = 0.2  # what a window must be able to show where the spec's min_effect is 0
_TESTS: dict[Kind, int] = {"number": 3, "category": 2}  # p-values that a column's own one is the least of


@dataclass(frozen=True)
class _Comparison:
    """One column of the reference beside the same column of the window, measured and not yet judged."""

    profile: ColumnProfile
    counts: ColumnCounts
    effect: float
    psi: float
    p_value: float | None  # None where one side has no values: then there is nothing to compare
    missing_p_value: float | None  # None where nothing is missing on either side
    reference_rows: float
    window_rows: float
    cells: int

    @property
    def kind(self) -> Kind:
        return "number" if isinstance(self.profile, NumberProfile) else "category"

    @property
    def missing_shares(self) -> tuple[float, float]:
        before, after = self.profile.counts, self.counts
        return before.missing / max(1, before.rows), after.missing / max(1, after.rows)


_Hypothesis = tuple[int, Literal["values", "missing"]]


def measure_drift(
    profile: Profile,
    counts: Counts,
    policy: DriftSpec,
    *,
    checks_per_year: float,
    window: Window | None = None,
) -> DriftReport:
    """The judgement of a window that was counted on `profile`.

    All columns, features and predictions, are one family: Holm's method keeps the chance of any false alarm of this
    check under its level. What cannot be significant whatever the labels of the two samples (a column without missing
    values on either side) is not part of the family (Tarone, Biometrics 46, 1990).

    Args:
        profile: of the rows that the serving version was trained on.
        counts: of the window, by `profile.count` or `profile.count_log`.
        policy: how many false alarms a year are accepted, and which effect is worth an alarm.
        checks_per_year: from the schedule, by `schedule.checks_per_year`.
        window: named in the report; its length tells how dense the rows are where `counts` has no times.
    """
    level = level_per_check(policy.false_alarms, checks_per_year)
    hours = counts.hours or (window and (window.end - window.start).total_seconds() / 3600) or None
    compared = [
        _compare(column, counts.columns[column.role, column.name], hours)
        for column in profile.columns
        if (column.role, column.name) in counts.columns
    ]
    p_values = _family(compared)
    # Too few rows are never called a drift, however large it looks.
    significant = significance.holm(p_values, level) if counts.rows >= FEWEST_ROWS else frozenset()
    strictest = level / max(1, len(p_values))
    columns = tuple(_judge(each, index, significant, strictest, policy) for index, each in enumerate(compared))
    status, reason = _conclude(columns, counts.rows, policy)
    return DriftReport(status=status, reason=reason, rows=counts.rows, level=level, window=window, columns=columns)


def _family(compared: list[_Comparison]) -> Mapping[_Hypothesis, float]:
    family: dict[_Hypothesis, float] = {}
    for index, each in enumerate(compared):
        if each.p_value is not None:
            family[index, "values"] = each.p_value
        if each.missing_p_value is not None:
            family[index, "missing"] = each.missing_p_value
    return family


def _compare(profile: ColumnProfile, counts: ColumnCounts, hours: float | None) -> _Comparison:
    reference_rows = profile.dependence.effective_rows(profile.counts.present, None)
    window_rows = profile.dependence.effective_rows(counts.present, hours)
    effect, stability, p_value, cells = 0.0, 0.0, None, 0
    if profile.counts.present and counts.present:
        measure = _compare_numbers if isinstance(profile, NumberProfile) else _compare_categories
        effect, stability, p_value, cells = measure(profile, counts, reference_rows, window_rows)
    return _Comparison(
        profile=profile,
        counts=counts,
        effect=effect,
        psi=stability,
        p_value=p_value,
        missing_p_value=_missing_p(profile, counts, hours),
        reference_rows=reference_rows,
        window_rows=window_rows,
        cells=cells,
    )


def _compare_numbers(
    profile: Any, counts: Any, reference_rows: float, window_rows: float
) -> tuple[float, float, float, int]:
    """Effect, stability index, p-value, cells. Three tests, each seeing what the others miss, and paying for three.

    The mean score is the most powerful one for shifts, the largest gap sees a change of shape, and values beyond the
    reference's range are counted exactly: a unit error in few rows moves neither mean nor shape.
    """
    before, after, freedom = profile.counts.bins, counts.bins, profile.dependence.degrees_of_freedom
    rows = significance.combined_rows(reference_rows, window_rows)
    beyond = min(
        significance.beyond_p(outside, counts.present, reference_rows, window_rows, freedom)
        for outside in (counts.below, counts.above)
    )
    least = min(
        significance.mean_p(*mean_and_spread(before, after), reference_rows, window_rows, freedom),
        significance.distance_p(largest_gap(before, after), rows, freedom),
        2 * beyond,
    )
    p_value = min(1.0, _TESTS["number"] * least)
    return score_distance(before, after), psi_of_numbers(before, after), p_value, len(before)


def _compare_categories(
    profile: Any, counts: Any, reference_rows: float, window_rows: float
) -> tuple[float, float, float, int]:
    before, after = aligned_shares(profile.counts, counts)
    freedom, evenness = profile.dependence.degrees_of_freedom, profile.dependence.evenness
    p_value = significance.categories_p(before, after, reference_rows, window_rows, freedom, evenness)
    return total_variation(before, after), psi(before, after), p_value, len(before)


def _missing_p(profile: ColumnProfile, counts: ColumnCounts, hours: float | None) -> float | None:
    before, after, dependence = profile.counts, counts, profile.missing_dependence
    if before.missing + after.missing == 0 or before.rows == 0 or after.rows == 0:
        return None
    return significance.share_p(
        before.missing / before.rows,
        after.missing / after.rows,
        dependence.effective_rows(before.rows, None),
        dependence.effective_rows(after.rows, hours),
        dependence.degrees_of_freedom,
    )


def _judge(
    compared: _Comparison,
    index: int,
    significant: frozenset[_Hypothesis],
    strictest: float,
    policy: DriftSpec,
) -> ColumnDrift:
    visible = _smallest_visible_effect(compared, strictest)
    status, reason = _column_status(compared, index, significant, visible, policy)
    missing_before, missing_after = compared.missing_shares
    profile, counts = compared.profile, compared.counts
    return ColumnDrift(
        column=profile.name,
        role=profile.role,
        kind=compared.kind,
        status=status,
        reason=reason,
        effect=compared.effect,
        effect_name=_effect_name(compared.kind),
        p_value=1.0 if compared.p_value is None else compared.p_value,
        missing_p_value=1.0 if compared.missing_p_value is None else compared.missing_p_value,
        missing_before=missing_before,
        missing_after=missing_after,
        psi=compared.psi,
        smallest_visible_effect=visible,
        effective_rows=compared.window_rows,
        out_of_range=_out_of_range(counts),
        new_categories=_new_categories(profile, counts),
        before=_in_words(profile, profile.counts),
        after=_in_words(profile, counts),
    )


def _column_status(
    compared: _Comparison,
    index: int,
    significant: frozenset[_Hypothesis],
    visible: float | None,
    policy: DriftSpec,
) -> tuple[DriftStatus, str]:
    name, unit = compared.profile.name, _effect_name(compared.kind)
    before, after = compared.missing_shares
    moved = (index, "values") in significant and compared.effect >= policy.min_effect
    # A value that is gone has not merely moved: half the effect is enough.
    vanished = (index, "missing") in significant and abs(after - before) >= policy.min_effect / 2
    if moved:
        return "DRIFT", f"{name} moved by {compared.effect:.2f} {unit} (p {compared.p_value:.1g})"
    if vanished:
        change = f"{percent(after)} of the rows, was {percent(before)}"
        return "DRIFT", f"{name} is missing in {change} (p {compared.missing_p_value:.1g})"
    if compared.profile.counts.present == 0:
        return "INSUFFICIENT", f"{name} has no values in the reference"
    if visible is None:
        return "INSUFFICIENT", f"{name} has no values in this window"
    if visible > (policy.min_effect or _VISIBLE_WITHOUT_FLOOR):
        return "INSUFFICIENT", (
            f"{name}: {compared.counts.present:,} values are worth {compared.window_rows:,.0f} independent ones, "
            f"which show effects from {visible:.2f} {unit} on"
        )
    if (index, "values") in significant:
        return "OK", f"{name} moved by {compared.effect:.2f} {unit}, less than is worth an alarm"
    return "OK", f"{name} moved by {compared.effect:.2f} {unit}, which chance explains"


def _smallest_visible_effect(compared: _Comparison, strictest: float) -> float | None:
    """The effect at which the p-value reaches the strictest level that Holm's method can ask.

    For numbers it is a shift; for categories any change of that total variation: its statistic is at least
    4 n TV^2, by the inequality of Cauchy and Schwarz.
    """
    rows = significance.combined_rows(compared.reference_rows, compared.window_rows)
    if compared.p_value is None or rows == 0:
        return None
    dependence = compared.profile.dependence
    freedom, level = dependence.degrees_of_freedom, strictest / _TESTS[compared.kind]
    if compared.kind == "number":
        return significance.critical_mean(level, freedom) / math.sqrt(rows)
    statistic = significance.critical_categories(level, compared.cells, freedom, dependence.evenness)
    return min(1.0, math.sqrt(statistic / rows) / 2)


def _conclude(columns: tuple[ColumnDrift, ...], rows: int, policy: DriftSpec) -> tuple[DriftStatus, str]:
    if rows < FEWEST_ROWS:
        return "INSUFFICIENT", f"The window has {rows} rows; below {FEWEST_ROWS} nothing is judged."
    alarmed = sorted((each for each in columns if each.alarmed), key=lambda each: -each.effect)
    if alarmed:
        worst = "; ".join(each.reason for each in alarmed[:3])
        more = f"; and {len(alarmed) - 3} more" if len(alarmed) > 3 else ""
        return "DRIFT", f"{len(alarmed)} of {len(columns)} columns drifted: {worst}{more}."
    blind = [each.column for each in columns if each.status == "INSUFFICIENT"]
    floor = policy.min_effect or _VISIBLE_WITHOUT_FLOOR
    if len(blind) == len(columns):
        return "INSUFFICIENT", (
            f"No column could have shown an effect of {floor:g} in {rows:,} rows: take a longer window, "
            "a longer reference or a larger min_effect."
        )
    able = f"{len(columns) - len(blind)} of {len(columns)} columns could have shown an effect of {floor:g}"
    without = f" (not {', '.join(blind[:3])}{' ...' if len(blind) > 3 else ''})" if blind else ""
    return "OK", f"No column drifted in {rows:,} rows; {able}{without}."


def _effect_name(kind: Kind) -> str:
    return "standard deviations" if kind == "number" else "total variation"


def _out_of_range(counts: ColumnCounts) -> float:
    return (getattr(counts, "below", 0) + getattr(counts, "above", 0)) / max(1, counts.present)


def _new_categories(profile: ColumnProfile, counts: Any) -> tuple[tuple[str, int], ...]:
    if not isinstance(profile, CategoryProfile) or profile.hashed:
        return ()
    new = [(name, count) for name, count in counts.values.items() if name not in profile.counts.values]
    return tuple(sorted(new, key=lambda item: (-item[1], item[0]))[:_MOST_NEW_CATEGORIES])


def _in_words(profile: ColumnProfile, counts: Any) -> str:
    if isinstance(profile, NumberProfile):
        return typical_numbers(profile.edges, counts)
    return f"{len(counts.values)} hash buckets" if profile.hashed else typical_categories(counts)
