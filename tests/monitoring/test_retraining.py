from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from everfresh.monitoring.drift_report import DriftReport
from everfresh.monitoring.performance import PerformanceReport
from everfresh.monitoring.retraining import RetrainFacts, decide_retrain
from everfresh.spec.monitoring import RetrainingSpec, RetrainWhen

NOW = datetime(2013, 4, 1, tzinfo=UTC)
DRIFT = DriftReport("DRIFT", "1 of 2 columns drifted: temp.", 5000, 1e-4, None, ())
NO_DRIFT = replace(DRIFT, status="OK", reason="No column drifted.")
DROPPED = PerformanceReport(
    "roc_auc", "DROPPED", "roc_auc is 0.640.", 0.64, 0.63, 0.65, 0.7, 0.06, labelled=900, served=900, young=0
)
POLICY = RetrainingSpec(
    when=RetrainWhen(drift=True, metric_drop=0.03, older_than=timedelta(days=60), schedule="0 3 * * 0"),
    cooldown=timedelta(days=3),
    at_least_labels=2000,
)
QUIET = RetrainFacts(
    drift=NO_DRIFT,
    performance=replace(DROPPED, status="OK"),
    champion_trained_through=NOW - timedelta(days=30),
    last_retrain_at=NOW - timedelta(days=10),
    labels_since=5000,
)


def test_nothing_asks_for_a_retrain_and_the_reason_says_what_each_waits_for() -> None:
    decision = decide_retrain(POLICY, QUIET, NOW)
    assert (decision.retrain, decision.because) == (False, "")
    assert decision.reason == (
        "Nothing asks for a retrain: drift is OK, performance is OK, the champion is too young until 2013-05-01 00:00, "
        "the schedule '0 3 * * 0' is not due."
    )


@pytest.mark.parametrize(("facts", "because"), [
    (replace(QUIET, drift=DRIFT), "drift"),
    (replace(QUIET, performance=DROPPED), "metric_drop"),
    (replace(QUIET, champion_trained_through=NOW - timedelta(days=61)), "age"),
    (replace(QUIET, due_by_schedule=True), "schedule"),
    (replace(QUIET, forced_by="Ada"), "hand"),
    (replace(QUIET, drift=DRIFT, performance=DROPPED, due_by_schedule=True), "drift"),
])  # fmt: skip
def test_each_trigger_retrains_and_is_named(facts: RetrainFacts, because: str) -> None:
    decision = decide_retrain(POLICY, facts, NOW)
    assert (decision.retrain, decision.because) == (True, because)


def test_a_trigger_that_the_policy_leaves_out_does_not_retrain() -> None:
    policy = POLICY.model_copy(update={"when": RetrainWhen(drift=False)})
    everything = replace(
        QUIET,
        drift=DRIFT,
        performance=DROPPED,
        due_by_schedule=True,
        champion_trained_through=NOW - timedelta(days=900),
    )
    decision = decide_retrain(policy, everything, NOW)
    assert not decision.retrain
    assert decision.reason == "The policy names nothing that retrains."


def test_the_cooldown_says_until_when() -> None:
    facts = replace(QUIET, drift=DRIFT, last_retrain_at=NOW - timedelta(days=1))
    decision = decide_retrain(POLICY, facts, NOW)
    assert not decision.retrain
    assert decision.reason == (
        "Cooldown until 2013-04-03 00:00: the last retrain was at 2013-03-31 00:00, and the policy asks 3d between two."
    )


def test_the_cooldown_is_over_at_its_last_moment() -> None:
    facts = replace(QUIET, drift=DRIFT, last_retrain_at=NOW - timedelta(days=3))
    assert decide_retrain(POLICY, facts, NOW).retrain


def test_too_few_labels_say_how_many_are_missing() -> None:
    decision = decide_retrain(POLICY, replace(QUIET, drift=DRIFT, labels_since=1700), NOW)
    assert not decision.retrain
    assert decision.reason.startswith("Too few labels until 300 more come in: there are 1,700 new ones")


def test_a_person_beats_cooldown_and_labels() -> None:
    facts = replace(QUIET, forced_by="Ada", last_retrain_at=NOW, labels_since=0)
    assert decide_retrain(POLICY, facts, NOW).reason == "Ada asked for it by hand."


def test_before_the_first_measurement_nothing_asks() -> None:
    decision = decide_retrain(POLICY, RetrainFacts(labels_since=5000), NOW)
    assert decision.reason.startswith("Nothing asks for a retrain: drift is not measured yet")


def test_drift_that_could_not_be_judged_does_not_retrain() -> None:
    assert not decide_retrain(POLICY, replace(QUIET, drift=replace(DRIFT, status="INSUFFICIENT")), NOW).retrain
