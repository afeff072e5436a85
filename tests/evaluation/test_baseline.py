from __future__ import annotations

import json

import numpy as np
import pytest

from everfresh.evaluation.baseline import Baseline, baseline_from_json, class_prior, mean_value
from everfresh.evaluation.metrics import score

LABELS = np.array(["no"] * 3 + ["yes"])


def test_the_prior_answers_with_the_shares_of_the_classes() -> None:
    assert class_prior(LABELS, ("no", "yes", "never")).answer(2).tolist() == [[0.75, 0.25, 0.0]] * 2


def test_no_constant_answer_is_better_than_the_baseline() -> None:
    best = score("log_loss", LABELS, class_prior(LABELS, ("no", "yes")).answer(4), ("no", "yes"))
    others = [score("log_loss", LABELS, np.tile([1 - p, p], (4, 1)), ("no", "yes")) for p in (0.2, 0.3)]
    assert best < min(others)


@pytest.mark.parametrize("baseline", [class_prior(LABELS, ("no", "yes")), mean_value(np.array([1.0, 2.5]))])
def test_a_baseline_is_the_same_after_a_way_through_json(baseline: Baseline) -> None:
    assert baseline_from_json(json.loads(json.dumps(baseline.to_json()))) == baseline


def test_something_else_is_no_baseline() -> None:
    with pytest.raises(ValueError, match="'median' is no baseline: class_prior or mean is"):
        baseline_from_json({"kind": "median"})
