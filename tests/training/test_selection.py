from __future__ import annotations

import math

import pytest

from everfresh.errors import NoTrialSucceeded
from everfresh.training.selection import choose
from everfresh.training.trials import Trial


def trial(candidate: str, score: float, metric: str = "roc_auc", **params: float) -> Trial:
    return Trial(candidate, params, {metric: score})  # type: ignore[dict-item]


def test_the_best_is_chosen_in_the_direction_of_the_metric() -> None:
    assert choose([trial("a", 0.6), trial("b", 0.7)], "roc_auc").trial.candidate == "b"
    assert choose([trial("a", 0.6, "log_loss"), trial("b", 0.7, "log_loss")], "log_loss").trial.candidate == "a"
    assert choose([trial("a", -3.0, "r2"), trial("b", -2.0, "r2")], "r2").trial.candidate == "b"


def test_of_those_that_tie_the_first_in_the_spec_wins() -> None:
    choice = choose([trial("simple", 0.70001), trial("complex", 0.70003, depth=3)], "roc_auc")
    assert choice.trial.candidate == "simple"
    assert choice.reason == (
        "simple has the best roc_auc on validation, 0.700; complex (depth 3) is as good and comes later in the spec"
    )


def test_a_tie_is_a_tie_with_the_best_and_not_with_a_neighbour() -> None:
    scores = [0.7000, 0.70006, 0.70012]  # each ties with the next, and the first not with the last
    assert choose([trial(f"c{score}", score) for score in scores], "roc_auc").trial.candidate == "c0.70006"


def test_the_next_best_is_that_of_another_candidate() -> None:
    trials = [trial("a", 0.70, C=1), trial("a", 0.72, C=2), trial("b", 0.65, depth=1), trial("b", 0.68, depth=2)]
    assert choose(trials, "roc_auc").reason == (
        "a (C 2) has the best roc_auc on validation, 0.720; next is b (depth 2), 0.680"
    )
    assert choose(trials[:2], "roc_auc").reason == "a (C 2) has the best roc_auc on validation, 0.720"


def test_failed_trials_and_scores_that_are_no_numbers_are_not_chosen() -> None:
    trials = [Trial("a", {}, error="ValueError: x"), trial("b", math.inf), trial("c", math.nan), trial("d", 0.5)]
    assert choose(trials, "roc_auc").trial.candidate == "d"


def test_where_none_succeeded_each_candidate_gives_its_first_reason() -> None:
    trials = [
        Trial("a", {"C": 1}, error="ValueError: first"),
        Trial("a", {"C": 2}, error="ValueError: second"),
        Trial("b", {}, {"log_loss": 0.5}),
    ]
    with pytest.raises(NoTrialSucceeded) as caught:
        choose(trials, "roc_auc")
    assert str(caught.value) == (
        "No candidate could be fitted and scored (a: ValueError: first; b: roc_auc cannot be computed on the "
        "validation rows). Mend training.candidates or the table."
    )
