from __future__ import annotations

import math

from everfresh.training.trials import Trial


def test_a_trial_is_named_by_what_was_tried() -> None:
    assert str(Trial("logistic", {})) == "logistic"
    assert str(Trial("boosting", {"learning_rate": 0.123456, "depth": None, "early": True})) == (
        "boosting (learning_rate 0.1235, depth None, early True)"
    )


def test_a_score_that_it_does_not_have_is_no_number() -> None:
    assert math.isnan(Trial("a", {}, {"f1": 0.5}).score("roc_auc"))
