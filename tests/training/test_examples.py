from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from everfresh.data.columns import Column
from everfresh.errors import NothingToLearnFrom
from everfresh.spec.data import CsvSource, DataSpec
from everfresh.training.examples import columns_with_values, examples_of, joined

COLUMNS = (Column("distance", "float"), Column("gate", "category"))
DATA = DataSpec(source=CsvSource(kind="csv", path="a.csv"), label="delayed")
FRAME = pd.DataFrame({"delayed": [1, 0, 1], "gate": [5.0, None, 7.0], "distance": [1, 2, None], "other": "x"})


def test_examples_are_a_model_frame_and_labels() -> None:
    examples = examples_of(FRAME, COLUMNS, DATA, "classification")
    assert list(examples.rows) == ["distance", "gate"]
    assert examples.rows["gate"].tolist() == ["5", np.nan, "7"]
    assert examples.labels.tolist() == ["1", "0", "1"]
    assert examples.labels.dtype.kind == "U"  # what a classifier keeps its classes in, and skops stores as numbers
    assert examples_of(FRAME, COLUMNS, DATA, "regression").labels.dtype == np.float64
    assert len(examples) == 3


def test_the_rows_of_both_are_in_one() -> None:
    first = examples_of(FRAME, COLUMNS, DATA, "classification")
    second = examples_of(FRAME.assign(delayed="rather late").iloc[:1], COLUMNS, DATA, "classification")
    both = joined(first, second)
    assert both.labels.tolist() == ["1", "0", "1", "rather late"]
    assert both.rows["distance"].tolist()[:2] == [1.0, 2.0]
    assert both.rows.index.tolist() == [0, 1, 2, 3]


def test_columns_without_a_value_are_left_out() -> None:
    rows = pd.DataFrame({"distance": [np.nan, np.nan], "gate": pd.Series(["5", None], dtype="str")})
    assert columns_with_values(COLUMNS, rows) == COLUMNS[1:]
    with pytest.raises(NothingToLearnFrom, match="None of the 2 feature columns has a value in the 1 training rows"):
        columns_with_values(COLUMNS, rows.iloc[1:])
