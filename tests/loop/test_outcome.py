import json
from datetime import UTC, datetime

import pytest

from everfresh.evaluation.verdict import GateResult, Verdict, conclude
from everfresh.loop.outcome import Outcome
from everfresh.loop.permission import Permission
from everfresh.registry.versions import ModelVersion

V2 = ModelVersion("rides", 2, "run", datetime(2013, 1, 1, tzinfo=UTC), (), {})
PASSED = conclude([GateResult("threshold roc_auc", "PASS", "it is enough")])
FAILED = conclude([GateResult("threshold roc_auc", "FAIL", "roc_auc is 0.5")])


@pytest.mark.parametrize(
    ("verdict", "serving", "status", "reason"),
    [
        (PASSED, 1, "waiting", "rides v2 may serve. The gate passed."),
        (FAILED, 1, "rejected", "rides v2 may not serve. roc_auc is 0.5."),
        (PASSED, 2, "unchanged", "rides v2 is the champion already."),
        # The verdict that let it serve stands: a gate that fails today changes nothing about what serves.
        (FAILED, 2, "unchanged", "rides v2 is the champion already."),
        (PASSED, None, "waiting", "rides v2 may serve. The gate passed."),
    ],
)
def test_a_training_ends_with_what_became_of_its_version(
    verdict: Verdict, serving: int | None, status: str, reason: str
) -> None:
    outcome = Outcome.trained(V2, verdict, serving)

    assert (outcome.status, outcome.reason, outcome.version, outcome.serving) == (status, reason, 2, serving)
    assert outcome.waits_for_rollout == (status == "waiting")
    assert outcome.is_no == (status == "rejected")


def test_who_may_still_say_yes_is_waited_for() -> None:
    assert Outcome.not_permitted(Permission("waiting", "ask Ada"), V2, 1).status == "waiting"
    assert Outcome.not_permitted(Permission("refused", "no"), V2, 1).is_no


def test_an_outcome_is_plain_json() -> None:
    assert json.loads(json.dumps(Outcome.kept("nothing asks", 1).to_json())) == {
        "status": "kept", "reason": "nothing asks", "version": None, "serving": 1, "cause": "",
    }  # fmt: skip
