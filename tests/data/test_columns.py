import json
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from everfresh.data.columns import Column, plain_text


@pytest.mark.parametrize(
    "column",
    [
        Column("distance", "float", nullable=False, minimum=0.0, maximum=5000.5),
        Column("carrier", "category", values=("AA", "UA")),
        Column("hour", "integer"),
    ],
)
def test_a_column_comes_back_from_json_as_it_was(column: Column) -> None:
    assert Column.from_json(json.loads(json.dumps(column.to_json()))) == column


@pytest.mark.parametrize("document", [{"name": "x"}, {"name": "x", "dtype": "float", "unit": "miles"}])
def test_a_document_that_lacks_a_key_or_has_another_one_is_refused(document: dict[str, str]) -> None:
    with pytest.raises(TypeError):
        Column.from_json(document)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (5, "5"), (5.0, "5"), ("5", "5"), (np.int8(5), "5"), (np.float32(5), "5"), (Decimal(5), "5"),
        (True, "true"), (np.bool_(True), "true"), (False, "false"),
        (0.1, "0.1"), (-0.0, "0"), (float("inf"), "inf"), (2**70, str(2**70)),
        ("", ""), (" JFK ", " JFK "), ("nan", "nan"),
    ],
)  # fmt: skip
def test_a_value_is_written_in_one_way_whichever_type_it_has(value: object, text: str) -> None:
    assert plain_text(value) == text


@pytest.mark.parametrize("value", [None, float("nan"), np.float64("nan"), pd.NA, pd.NaT, Decimal("NaN")])
def test_whatever_means_missing_has_no_text(value: object) -> None:
    assert plain_text(value) is None


@given(st.integers(-(2**53), 2**53))
def test_an_integer_and_its_float_are_the_same_category(value: int) -> None:
    assert plain_text(value) == plain_text(float(value)) == plain_text(np.int64(value)) == plain_text(str(value))
