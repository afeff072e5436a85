"""The gates: what a challenger must show before it may serve. Pure functions of the evidence, one for each kind."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal, assert_never

from everfresh.evaluation.calibration import calibration_error
from everfresh.evaluation.comparison import Comparison, compare
from everfresh.evaluation.evidence import Champion, Evidence
from everfresh.evaluation.metrics import score
from everfresh.evaluation.slices import Slice, slices_of
from everfresh.evaluation.sufficiency import too_few_rows
from everfresh.evaluation.verdict import Detail, GateResult, Verdict, conclude
from everfresh.spec.metrics import Metric, higher_is_better
from everfresh.spec.promotion import (
    BeatsBaselineGate,
    BeatsChampionGate,
    CalibrationGate,
    Gate,
    ParityGate,
    ServableGate,
    SliceGate,
    ThresholdGate,
)

LISTED_GROUPS = 50
"""How many groups a slice gate's details name; a column can have thousands."""


MAX_CHANCE = 0.5
"""The share of a calibration limit that chance may make up before an error above the limit says nothing."""


def judge(gates: Sequence[Gate], evidence: Evidence, *, seed: int) -> Verdict:
    """The verdict on a challenger: every gate is asked, also after one has failed. `seed` is for the bootstrap."""
    return conclude([_ask(gate, evidence, seed) for gate in gates])


def _ask(gate: Gate, evidence: Evidence, seed: int) -> GateResult:
    match gate:
        case ThresholdGate():
            return threshold(gate, evidence)
        case BeatsChampionGate():
            return beats_champion(gate, evidence, seed=seed)
        case BeatsBaselineGate():
            return beats_baseline(gate, evidence)
        case SliceGate():
            return slices(gate, evidence)
        case CalibrationGate():
            return calibration(gate, evidence)
        case ParityGate():
            return parity(gate, evidence)
        case ServableGate():
            return servable(gate, evidence)
        case _:
            assert_never(gate)


def threshold(gate: ThresholdGate, evidence: Evidence) -> GateResult:
    """Whether the metric on the whole holdout keeps the limit."""
    name = f"threshold {gate.metric}"
    if lacking := too_few_rows(gate.metric, evidence.y, evidence.classes):
        return _insufficient(name, f"{gate.metric} was not judged: {lacking}")
    measured = score(gate.metric, evidence.y, evidence.challenger, evidence.classes)
    if math.isnan(measured):
        return _insufficient(name, f"{gate.metric} cannot be computed on the holdout")
    return _against_limit(name, gate.metric, measured, gate)


def beats_baseline(gate: BeatsBaselineGate, evidence: Evidence) -> GateResult:
    """Whether the challenger is better than the dummy by more than the margin."""
    name = f"beats_baseline {gate.metric}"
    if lacking := too_few_rows(gate.metric, evidence.y, evidence.classes):
        return _insufficient(name, f"{gate.metric} was not compared with the baseline's: {lacking}")
    challenger = score(gate.metric, evidence.y, evidence.challenger, evidence.classes)
    baseline = score(gate.metric, evidence.y, evidence.baseline, evidence.classes)
    improvement = challenger - baseline if higher_is_better(gate.metric) else baseline - challenger
    if math.isnan(improvement):
        return _insufficient(name, f"{gate.metric} cannot be computed on the holdout")
    gain, margin = _told_apart(improvement, gate.margin, digits=4)
    return GateResult(
        gate=name,
        status="PASS" if improvement > gate.margin else "FAIL",
        reason=f"{gate.metric} is {challenger:.4f}, the baseline's is {baseline:.4f}: a gain of {gain}, "
        f"the gate asks more than {margin}",
        measured=improvement,
        limit=gate.margin,
        details={"challenger": challenger, "baseline": baseline},
    )


def beats_champion(gate: BeatsChampionGate, evidence: Evidence, *, seed: int) -> GateResult:
    """Whether the challenger is better than the champion by more than the margin, with the confidence asked for.

    What is held against the margin is the lower bound of the improvement, not the improvement itself: a margin of 0
    asks that the challenger is surely better, a negative one that it is surely not much worse.
    """
    name = f"beats_champion {gate.metric}"
    champion = evidence.champion
    if champion is None:
        return GateResult(name, "PASS", "there is no champion yet")
    if champion.answer is None:
        why = champion.why_not or "no reason was given"
        return _insufficient(name, f"the champion (version {champion.version}) could not answer the holdout: {why}")
    if len(evidence.y) == 0:
        return _insufficient(name, f"{gate.metric} was not compared: the holdout is empty")
    comparison = compare(
        gate.metric,
        evidence.y,
        evidence.challenger,
        champion.answer,
        evidence.classes,
        confidence=gate.confidence,
        seed=seed,
        times=evidence.times,
    )
    if lacking := too_few_rows(gate.metric, evidence.y, evidence.classes):
        visible = _visible(comparison)
        return _insufficient(name, f"{gate.metric} was not compared with the champion's: {lacking}{visible}")
    if math.isnan(comparison.lower_bound):
        return _insufficient(name, f"{gate.metric} cannot be computed on enough draws of the holdout")
    return _against_champion(name, gate, comparison, champion)


def slices(gate: SliceGate, evidence: Evidence) -> GateResult:
    """Whether the metric keeps the limit in every group that is large enough; the worst group is named."""
    name = f"slice {gate.metric} by {gate.by}"
    if evidence.slices is None or gate.by not in evidence.slices.columns:
        return _insufficient(name, f"the holdout has no column {gate.by!r} to slice by")
    parts = slices_of(evidence.slices[gate.by])
    large = [part for part in parts if len(part.rows) >= gate.at_least_rows]
    scored = [(part, _score_on(part, gate.metric, evidence)) for part in large]
    known = [(part, value) for part, value in scored if not math.isnan(value)]
    if not known:
        reason = f"no group of {gate.by} has {gate.at_least_rows} rows on which {gate.metric} can be computed"
        return _insufficient(name, reason)
    sign = 1 if higher_is_better(gate.metric) else -1
    worst_first = sorted(known, key=lambda group: sign * group[1])
    worst, measured = worst_first[0]
    details: dict[str, Detail] = {
        "scores": {part.name: value for part, value in worst_first[:LISTED_GROUPS]},
        "rows": {part.name: len(part.rows) for part, _ in worst_first[:LISTED_GROUPS]},
        "groups": len(parts),
        "too_small": [part.name for part in parts if len(part.rows) < gate.at_least_rows][:LISTED_GROUPS],
        "not_computable": [part.name for part, value in scored if math.isnan(value)][:LISTED_GROUPS],
    }
    return _against_limit(name, f"{gate.metric} on {gate.by}={worst.name}", measured, gate, details)


def calibration(gate: CalibrationGate, evidence: Evidence) -> GateResult:
    """Whether predicted probabilities are true frequencies; a large error on few rows is INSUFFICIENT and no FAIL."""
    if evidence.task != "classification":
        return _insufficient("calibration", "calibration was not measured: a regression has no probabilities")
    if lacking := too_few_rows(None, evidence.y, evidence.classes):
        return _insufficient("calibration", f"calibration was not judged: {lacking}")
    found = calibration_error(evidence.y, evidence.challenger, evidence.classes)
    if math.isnan(found.error):
        return _insufficient("calibration", "the calibration error cannot be computed on the holdout")
    measured, limit = _told_apart(found.error, gate.at_most)
    kept = found.error <= gate.at_most
    reason = f"the expected calibration error is {measured}, the gate asks at most {limit}"
    # Chance only ever adds to the error: what is small on few rows is small, what is large may be nothing but chance.
    drowned = not kept and found.by_chance > MAX_CHANCE * gate.at_most
    if drowned:
        reason += f"; on {len(evidence.y):,} rows chance alone gives {found.by_chance:.3f}"
    return GateResult(
        gate="calibration",
        status="PASS" if kept else "INSUFFICIENT" if drowned else "FAIL",
        reason=reason,
        measured=found.error,
        limit=gate.at_most,
        details={"by_chance": found.by_chance},
    )


def parity(gate: ParityGate, evidence: Evidence) -> GateResult:
    """Whether the bundle answers as the fitted model does."""
    difference = evidence.parity
    if difference is None:
        return _insufficient("parity", "parity was not measured")
    if not math.isfinite(difference):
        reason = "the bundle's answer is no finite number where the model's is one"
        return GateResult("parity", "FAIL", reason, None, gate.at_most)
    return GateResult(
        gate="parity",
        status="PASS" if difference <= gate.at_most else "FAIL",
        reason=f"the bundle's answer differs by at most {difference:.2g}, the gate asks at most {gate.at_most:.2g}",
        measured=difference,
        limit=gate.at_most,
    )


def servable(gate: ServableGate, evidence: Evidence) -> GateResult:
    """Whether the real server boots with the challenger and answers every row in time."""
    trial = evidence.servable
    if trial is None:
        return _insufficient("servable", "serving was not measured")
    if trial.error:
        return GateResult("servable", "FAIL", f"the server did not serve: {trial.error}", None, gate.p99_ms)
    if trial.failures:
        reason = f"{trial.failures:,} of {trial.requests:,} requests failed"
        return GateResult("servable", "FAIL", reason, trial.p99_ms, gate.p99_ms)
    if trial.p99_ms is None or trial.requests == 0:
        return _insufficient("servable", "the server was sent no requests")
    measured, limit = _told_apart(trial.p99_ms, gate.p99_ms, digits=1)
    return GateResult(
        gate="servable",
        status="PASS" if trial.p99_ms <= gate.p99_ms else "FAIL",
        reason=f"99 % of {trial.requests:,} requests were answered within {measured} ms, "
        f"the gate asks at most {limit} ms",
        measured=trial.p99_ms,
        limit=gate.p99_ms,
    )


def _score_on(part: Slice, metric: Metric, evidence: Evidence) -> float:
    return score(metric, evidence.y[part.rows], evidence.challenger[part.rows], evidence.classes)


def _insufficient(gate: str, reason: str) -> GateResult:
    return GateResult(gate, "INSUFFICIENT", reason)


def _against_limit(
    name: str, what: str, measured: float, gate: ThresholdGate | SliceGate, details: Mapping[str, Detail] | None = None
) -> GateResult:
    """The result of a gate that has exactly one of `at_least` and `at_most`."""
    if gate.at_least is not None:
        words, limit, kept = "at least", gate.at_least, measured >= gate.at_least
    else:
        limit = gate.at_most if gate.at_most is not None else math.nan
        words, kept = "at most", measured <= limit
    figure, asked = _told_apart(measured, limit)
    status: Literal["PASS", "FAIL"] = "PASS" if kept else "FAIL"
    return GateResult(
        name, status, f"{what} is {figure}, the gate asks {words} {asked}", measured, limit, details or {}
    )


def _against_champion(name: str, gate: BeatsChampionGate, seen: Comparison, champion: Champion) -> GateResult:
    bound, margin = _told_apart(seen.lower_bound, gate.margin, digits=4)
    return GateResult(
        gate=name,
        status="PASS" if seen.lower_bound > gate.margin else "FAIL",
        reason=f"{gate.metric} is {seen.challenger:.4f}, the champion's (version {champion.version}) is "
        f"{seen.champion:.4f}: {_change(seen.improvement)}; with {100 * gate.confidence:g} % confidence the gain is "
        f"above {bound} (paired bootstrap of {seen.drawn}), the gate asks more than {margin}",
        measured=seen.lower_bound,
        limit=gate.margin,
        details={
            "challenger": seen.challenger,
            "champion": seen.champion,
            "champion_version": champion.version,
            "improvement": seen.improvement,
            "confidence": gate.confidence,
            "smallest_visible": seen.smallest_visible,
            "rows": seen.rows,
            "drawn": seen.drawn,
            "draws": seen.draws,
        },
    )


def _change(improvement: float) -> str:
    if improvement == 0:
        return "the same"
    return f"{'better' if improvement > 0 else 'worse'} by {abs(improvement):.4f}"


def _visible(comparison: Comparison) -> str:
    if math.isnan(comparison.smallest_visible):
        return ""
    return f"; an improvement below {comparison.smallest_visible:.3g} could not have been seen"


def _told_apart(measured: float, limit: float, digits: int = 3) -> tuple[str, str]:
    """Both with as many decimals as it takes to see which is larger: 0.5499 against 0.5500, not 0.550 twice.

    >>> _told_apart(0.5412, 0.55), _told_apart(0.54991, 0.55)
    (('0.541', '0.550'), ('0.5499', '0.5500'))
    """
    texts = (f"{measured:.{digits}f}", f"{limit:.{digits}f}")
    if measured != limit and texts[0] == texts[1] and digits < 12:
        return _told_apart(measured, limit, digits + 1)
    return texts
