from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from everfresh.spec.training import CandidateSpec
from everfresh.training.search_space import search_space

Candidate = Callable[..., CandidateSpec]


@pytest.mark.parametrize(("params", "size"), [
    ({}, 1),
    ({"a": 1}, 1),
    ({"a": [1, 2, 3], "b": [True, False]}, 6),
    ({"a": {"low": 1, "high": 10}}, 10),
    ({"a": {"low": 1, "high": 10}, "b": ["x", None]}, 20),
    ({"a": {"low": 1, "high": 10.0}}, None),
    ({"a": {"low": 0.1, "high": 0.2}, "b": [1, 2]}, None),
    ({"a": [1, 1.0, True, 1]}, 3),
])  # fmt: skip
def test_how_many_combinations_there_are(candidate: Candidate, params: dict[str, Any], size: int | None) -> None:
    space = search_space(candidate("a.B", **params))
    assert space.size == size
    if size is not None:
        combinations = space.combinations()
        assert len({repr(sorted(chosen.items())) for chosen in combinations}) == len(combinations) == size


def test_the_first_values_come_first(candidate: Candidate) -> None:
    assert search_space(candidate("a.B", b=[3, 1], a={"low": 1, "high": 2})).combinations() == (
        {"a": 1, "b": 3}, {"a": 1, "b": 1}, {"a": 2, "b": 3}, {"a": 2, "b": 1},
    )  # fmt: skip


def test_a_space_in_the_words_of_the_sampler(candidate: Candidate) -> None:
    space = search_space(
        candidate(
            "a.B", a={"low": 1, "high": 9}, b={"low": 1, "high": 9, "log": True}, c={"low": 0.5, "high": 2}, d=[1, None]
        )
    )
    assert space.distributions() == {
        "a": IntDistribution(1, 9),
        "b": IntDistribution(1, 9, log=True),
        "c": FloatDistribution(0.5, 2.0),
        "d": CategoricalDistribution((1, None)),
    }
