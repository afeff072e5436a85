from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from everfresh.evaluation.ranking import Ranking


@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 2, 5, 1000]))
@settings(max_examples=40)
def test_weights_and_ties_are_counted_as_scikit_learn_counts_them(seed: int, values: int) -> None:
    random = np.random.default_rng(seed)
    positive = np.r_[True, False, random.random(38) < 0.3]
    answer = random.integers(0, values, 40) / values
    weights = np.r_[1.0, 1.0, random.integers(0, 4, 38)]
    ranking = Ranking.of(positive, answer)
    assert ranking.roc_auc(weights) == pytest.approx(roc_auc_score(positive, answer, sample_weight=weights))
    assert ranking.average_precision(weights) == pytest.approx(
        average_precision_score(positive, answer, sample_weight=weights)
    )


def test_one_side_alone_has_no_ranking() -> None:
    ranking = Ranking.of(np.array([True, True]), np.array([0.1, 0.2]))
    assert math.isnan(ranking.roc_auc(np.ones(2)))
    assert ranking.average_precision(np.ones(2)) == 1.0
    assert math.isnan(ranking.average_precision(np.zeros(2)))


def test_no_rows_have_no_ranking() -> None:
    ranking = Ranking.of(np.array([], dtype=bool), np.array([]))
    assert math.isnan(ranking.roc_auc(np.array([])))
    assert math.isnan(ranking.average_precision(np.array([])))
