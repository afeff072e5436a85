from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from everfresh.evaluation import gates
from everfresh.evaluation.evidence import Champion, Evidence, Servable
from everfresh.evaluation.verdict import GateResult
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

ROWS = 4000
CLASSES = ("no", "yes")


def binary(p: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.c_[1 - p, p]


def evidence(rows: int = ROWS) -> Evidence:
    """Calibrated answers of a challenger that sees something, and a champion that sees nothing."""
    random = np.random.default_rng(7)
    p = np.round(random.beta(2, 5, rows), 6)
    y = np.where(random.random(rows) < p, "yes", "no")
    prior = np.full(rows, (y == "yes").mean())
    return Evidence(
        task="classification",
        classes=CLASSES,
        y=y,
        challenger=binary(p),
        baseline=binary(prior),
        champion=Champion(3, binary(prior)),
        slices=pd.DataFrame({"carrier": np.where(np.arange(rows) % 20 == 0, "rare", "common"), "p": p}),
        times=np.datetime64("2013-01-01") + np.arange(rows) * np.timedelta64(30, "m"),
        parity=3e-8,
        servable=Servable(p99_ms=3.25, requests=300, failures=0),
    )


EVIDENCE = evidence()
PARITY = ParityGate(kind="parity", at_most=1e-6)
SERVABLE = ServableGate(kind="servable", p99_ms=50)
CALIBRATION = CalibrationGate(kind="calibration", at_most=0.05)
BEATS_BASELINE = BeatsBaselineGate(kind="beats_baseline", metric="log_loss")
BEATS_CHAMPION = BeatsChampionGate(kind="beats_champion", metric="log_loss")


def ask(gate: Gate, seen: Evidence = EVIDENCE) -> GateResult:
    (result,) = gates.judge([gate], seen, seed=0).results
    return result


def threshold(metric: str = "roc_auc", **limit: float) -> ThresholdGate:
    return ThresholdGate.model_validate({"kind": "threshold", "metric": metric, **limit})


def by_slice(by: str = "carrier", metric: str = "roc_auc", **limit: float) -> SliceGate:
    return SliceGate.model_validate({"kind": "slice", "by": by, "metric": metric, **limit})


def first(rows: int) -> Evidence:
    """The evidence of the first rows only."""
    return replace(
        EVIDENCE,
        y=EVIDENCE.y[:rows],
        challenger=EVIDENCE.challenger[:rows],
        baseline=EVIDENCE.baseline[:rows],
        champion=Champion(3, EVIDENCE.baseline[:rows]),
        slices=EVIDENCE.slices.iloc[:rows] if EVIDENCE.slices is not None else None,
        times=EVIDENCE.times[:rows] if EVIDENCE.times is not None else None,
    )


NAN_ANSWERS = np.full((ROWS, 2), np.nan)


@pytest.mark.parametrize(("gate", "seen", "status", "reason"), [
    (threshold(at_least=0.6), EVIDENCE, "PASS", "roc_auc is 0.717, the gate asks at least 0.600"),
    (threshold(at_least=0.75), EVIDENCE, "FAIL", "roc_auc is 0.717, the gate asks at least 0.750"),
    (threshold(at_least=0.7169), EVIDENCE, "FAIL", "roc_auc is 0.7167, the gate asks at least 0.7169"),
    (threshold("log_loss", at_most=0.6), EVIDENCE, "PASS", "log_loss is 0.535, the gate asks at most 0.600"),
    (threshold(at_least=0.6), first(40), "INSUFFICIENT",
     "roc_auc was not judged: only 40 rows have a label, 50 are needed"),
    (threshold("log_loss", at_most=0.6), replace(EVIDENCE, challenger=NAN_ANSWERS), "INSUFFICIENT",
     "log_loss cannot be computed on the holdout"),
    (BEATS_BASELINE, EVIDENCE, "PASS",
     "log_loss is 0.5351, the baseline's is 0.5972: a gain of 0.0621, the gate asks more than 0.0000"),
    (BEATS_BASELINE.model_copy(update={"margin": 0.1}), EVIDENCE, "FAIL",
     "log_loss is 0.5351, the baseline's is 0.5972: a gain of 0.0621, the gate asks more than 0.1000"),
    (BEATS_BASELINE, replace(EVIDENCE, challenger=EVIDENCE.baseline), "FAIL",
     "log_loss is 0.5972, the baseline's is 0.5972: a gain of 0.0000, the gate asks more than 0.0000"),
    (BEATS_BASELINE, first(40), "INSUFFICIENT",
     "log_loss was not compared with the baseline's: only 40 rows have a label, 50 are needed"),
    (by_slice(at_least=0.6), EVIDENCE, "PASS", "roc_auc on carrier=rare is 0.705, the gate asks at least 0.600"),
    (by_slice(at_least=0.71), EVIDENCE, "FAIL", "roc_auc on carrier=rare is 0.705, the gate asks at least 0.710"),
    (by_slice(at_least=0.6), first(300), "PASS", "roc_auc on carrier=common is 0.729, the gate asks at least 0.600"),
    (by_slice(at_least=0.6), first(150), "INSUFFICIENT",
     "no group of carrier has 200 rows on which roc_auc can be computed"),
    (by_slice("origin", at_least=0.6), EVIDENCE, "INSUFFICIENT", "the holdout has no column 'origin' to slice by"),
    (by_slice(at_least=0.6), replace(EVIDENCE, slices=None), "INSUFFICIENT",
     "the holdout has no column 'carrier' to slice by"),
    (CALIBRATION, EVIDENCE, "PASS", "the expected calibration error is 0.019, the gate asks at most 0.050"),
    (CALIBRATION, replace(EVIDENCE, challenger=EVIDENCE.challenger[:, ::-1]), "FAIL",
     "the expected calibration error is 0.466, the gate asks at most 0.050"),
    (CALIBRATION, first(200), "INSUFFICIENT",
     "the expected calibration error is 0.052, the gate asks at most 0.050; on 200 rows chance alone gives 0.090"),
    (CALIBRATION, first(40), "INSUFFICIENT",
     "calibration was not judged: only 40 rows have a label, 50 are needed"),
    (CALIBRATION, replace(EVIDENCE, challenger=NAN_ANSWERS), "INSUFFICIENT",
     "the calibration error cannot be computed on the holdout"),
    (PARITY, EVIDENCE, "PASS", "the bundle's answer differs by at most 3e-08, the gate asks at most 1e-06"),
    (PARITY, replace(EVIDENCE, parity=0.14), "FAIL",
     "the bundle's answer differs by at most 0.14, the gate asks at most 1e-06"),
    (PARITY, replace(EVIDENCE, parity=math.nan), "FAIL",
     "the bundle's answer is no finite number where the model's is one"),
    (PARITY, replace(EVIDENCE, parity=math.inf), "FAIL",
     "the bundle's answer is no finite number where the model's is one"),
    (PARITY, replace(EVIDENCE, parity=None), "INSUFFICIENT", "parity was not measured"),
    (SERVABLE, EVIDENCE, "PASS", "99 % of 300 requests were answered within 3.2 ms, the gate asks at most 50.0 ms"),
    (SERVABLE, replace(EVIDENCE, servable=Servable(81.0, 300, 0)), "FAIL",
     "99 % of 300 requests were answered within 81.0 ms, the gate asks at most 50.0 ms"),
    (SERVABLE, replace(EVIDENCE, servable=Servable(3.0, 1300, 2)), "FAIL", "2 of 1,300 requests failed"),
    (SERVABLE, replace(EVIDENCE, servable=Servable(None, 0, 0, "port 8080 is taken")), "FAIL",
     "the server did not serve: port 8080 is taken"),
    (SERVABLE, replace(EVIDENCE, servable=Servable(None, 0, 0)), "INSUFFICIENT", "the server was sent no requests"),
    (SERVABLE, replace(EVIDENCE, servable=None), "INSUFFICIENT", "serving was not measured"),
])  # fmt: skip
def test_a_gate_says_what_it_saw(gate: Gate, seen: Evidence, status: str, reason: str) -> None:
    result = ask(gate, seen)
    assert (result.status, result.reason) == (status, reason)


def test_a_better_challenger_beats_the_champion() -> None:
    result = ask(BEATS_CHAMPION)
    assert result.status == "PASS"
    assert result.reason.startswith(
        "log_loss is 0.5351, the champion's (version 3) is 0.5972: better by 0.0621; "
        "with 95 % confidence the gain is above 0.05"
    )
    assert result.reason.endswith(" (paired bootstrap of 84 blocks of a day), the gate asks more than 0.0000")
    assert result.details["champion_version"] == 3
    assert result.details["rows"] == ROWS


def test_a_worse_challenger_does_not() -> None:
    swapped = replace(EVIDENCE, challenger=EVIDENCE.baseline, champion=Champion(3, EVIDENCE.challenger))
    result = ask(BEATS_CHAMPION, swapped)
    assert result.status == "FAIL"
    assert "worse by 0.0621" in result.reason


def test_the_same_answers_are_no_improvement_but_not_much_worse_either() -> None:
    same = replace(EVIDENCE, challenger=EVIDENCE.baseline)
    assert ask(BEATS_CHAMPION, same).status == "FAIL"
    assert ": the same; " in ask(BEATS_CHAMPION, same).reason
    assert ask(BEATS_CHAMPION.model_copy(update={"margin": -0.001}), same).status == "PASS"


def test_without_a_champion_there_is_nothing_to_beat() -> None:
    result = ask(BEATS_CHAMPION, replace(EVIDENCE, champion=None))
    assert (result.status, result.reason) == ("PASS", "there is no champion yet")


@pytest.mark.parametrize(("why_not", "said"), [
    ("its bundle is damaged", "its bundle is damaged"), ("", "no reason was given"),
])  # fmt: skip
def test_a_champion_that_could_not_answer_is_not_taken_for_none(why_not: str, said: str) -> None:
    result = ask(BEATS_CHAMPION, replace(EVIDENCE, champion=Champion(3, None, why_not)))
    assert (result.status, result.measured) == ("INSUFFICIENT", None)
    assert result.reason == f"the champion (version 3) could not answer the holdout: {said}"


def test_a_champion_that_answers_with_nan_is_insufficient_too() -> None:
    result = ask(BEATS_CHAMPION, replace(EVIDENCE, champion=Champion(3, NAN_ANSWERS)))
    assert (result.status, result.measured) == ("INSUFFICIENT", None)
    assert result.reason == "log_loss cannot be computed on enough draws of the holdout"


def test_too_few_rows_say_what_they_could_have_shown() -> None:
    result = ask(BEATS_CHAMPION, first(40))
    assert result.status == "INSUFFICIENT"
    assert result.reason.startswith(
        "log_loss was not compared with the champion's: only 40 rows have a label, 50 are needed; an improvement below "
    )


@pytest.mark.parametrize("rows", [0, 1, 2])
@pytest.mark.parametrize("gate", [
    threshold(at_least=0.5), by_slice(at_least=0.5), by_slice("p", at_least=0.5), CALIBRATION, BEATS_BASELINE,
    BEATS_CHAMPION, BEATS_CHAMPION.model_copy(update={"metric": "roc_auc"}),
])  # fmt: skip
def test_hardly_any_rows_are_insufficient_and_never_a_crash(gate: Gate, rows: int) -> None:
    assert ask(gate, first(rows)).status == "INSUFFICIENT"


def test_the_worst_slice_is_named_with_the_others_in_the_details() -> None:
    result = ask(by_slice("p", metric="brier", at_most=0.1))
    scores = result.details["scores"]
    assert isinstance(scores, dict)
    assert len(scores) == 4  # a number is cut into quarters
    assert result.measured == max(scores.values())
    assert list(scores.values()) == sorted(scores.values(), reverse=True)
    assert result.reason.startswith(f"brier on p={next(iter(scores))} is ")


def test_groups_that_are_too_small_are_told_and_not_judged() -> None:
    result = ask(by_slice(at_least=0.6), first(2000))
    assert result.details["too_small"] == ["rare"]
    assert result.details["groups"] == 2


def test_a_group_of_one_class_is_told_and_not_judged() -> None:
    carrier = np.where(EVIDENCE.y == "yes", "late", "mixed")
    carrier[:500] = "mixed"
    result = ask(by_slice(at_least=0.1), replace(EVIDENCE, slices=pd.DataFrame({"carrier": carrier})))
    assert result.details["not_computable"] == ["late"]


def test_a_regression_has_no_calibration() -> None:
    y = np.arange(100.0)
    seen = Evidence("regression", (), y, y, y)
    assert ask(CALIBRATION, seen).reason == "calibration was not measured: a regression has no probabilities"
    assert ask(threshold("rmse", at_most=1.0), seen).status == "PASS"
    assert ask(threshold("r2", at_least=0.5), replace(seen, y=np.ones(100), challenger=np.ones(100))).status == (
        "INSUFFICIENT"
    )


def test_every_gate_is_asked_after_one_has_failed() -> None:
    verdict = gates.judge([threshold(at_least=0.9), PARITY, CALIBRATION], EVIDENCE, seed=0)
    assert [result.status for result in verdict.results] == ["FAIL", "PASS", "PASS"]
    assert verdict.reason == "roc_auc is 0.717, the gate asks at least 0.900."


def test_two_judgements_are_the_same() -> None:
    asked = [BEATS_CHAMPION, by_slice(at_least=0.6), CALIBRATION]
    assert gates.judge(asked, EVIDENCE, seed=4) == gates.judge(asked, EVIDENCE, seed=4)


def test_what_a_gate_says_can_always_be_written_as_json() -> None:
    asked = [
        threshold(at_least=0.5), by_slice(at_least=0.5), CALIBRATION, BEATS_BASELINE, BEATS_CHAMPION, PARITY, SERVABLE,
    ]  # fmt: skip
    broken = replace(
        EVIDENCE, challenger=NAN_ANSWERS, parity=math.inf, champion=Champion(3, NAN_ANSWERS), servable=None
    )
    for seen in (EVIDENCE, first(40), first(0), broken):
        json.dumps(gates.judge(asked, seen, seed=0).to_json(), allow_nan=False)
