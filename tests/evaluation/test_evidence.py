from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from everfresh.evaluation.evidence import Champion, Evidence, align_answer

GOOD: dict[str, Any] = {
    "task": "classification",
    "classes": ("no", "yes"),
    "y": np.array(["no", "yes", "no"]),
    "challenger": np.full((3, 2), 0.5),
    "baseline": np.full((3, 2), 0.5),
}


@pytest.mark.parametrize(("part", "value"), [
    ("challenger", np.full((3, 3), 0.5)),
    ("baseline", np.full((2, 2), 0.5)),
    ("champion", Champion(1, np.full(3, 0.5))),
    ("times", np.array(["2013-01-01"], dtype="datetime64[s]")),
    ("slices", pd.DataFrame({"a": [1]})),
])  # fmt: skip
def test_parts_that_do_not_describe_the_same_rows_are_refused(part: str, value: object) -> None:
    with pytest.raises(ValueError, match=part):
        Evidence(**{**GOOD, part: value})


def test_a_champion_that_could_not_answer_is_evidence_too() -> None:
    assert Evidence(**GOOD, champion=Champion(1, None, "its bundle is damaged")).champion is not None


def test_answers_are_brought_into_one_order() -> None:
    answer = np.array([[0.2, 0.8]])
    assert align_answer(answer, ("z", "a"), ("a", "b", "z")).tolist() == [[0.8, 0.0, 0.2]]


def test_probability_is_never_lost() -> None:
    with pytest.raises(ValueError, match="the class 'z' is not among a, b"):
        align_answer(np.array([[0.2, 0.8]]), ("z", "a"), ("a", "b"))
