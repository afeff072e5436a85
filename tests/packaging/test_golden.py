from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from everfresh.errors import BundleDamaged
from everfresh.packaging.batch import Batch
from everfresh.packaging.golden import GoldenRows, largest_difference, read_golden
from everfresh.packaging.scorer import open_scorer
from everfresh.serving.questions.decoding import RowReader

GOLDEN = GoldenRows(
    Batch(
        3,
        {"distance": np.array([0.1, np.nan, 1e17]), "night": np.array([0.0, 1.0, np.nan])},
        {"carrier": ["AA", None, ""]},
    ),
    np.array([[0.25, 0.75], [1 / 3, 2 / 3], [1.0, 0.0]]),
)


def test_golden_rows_come_back_from_json_bit_for_bit():
    read = GoldenRows.from_json(json.loads(json.dumps(GOLDEN.to_json(), allow_nan=False)))
    assert read.batch.rows == 3
    for name, values in GOLDEN.batch.numbers.items():
        np.testing.assert_array_equal(read.batch.numbers[name], values)
    assert read.batch.categories == GOLDEN.batch.categories
    np.testing.assert_array_equal(read.answer, GOLDEN.answer)


def test_the_columns_are_what_a_client_would_send():
    assert GOLDEN.columns == {
        "distance": [0.1, None, 1e17],
        "night": [0.0, 1.0, None],
        "carrier": ["AA", None, ""],
    }
    assert all(type(value) in (float, str, type(None)) for values in GOLDEN.columns.values() for value in values)


def test_a_server_reads_the_golden_columns_as_the_golden_rows(bundle):
    golden = read_golden(bundle)
    rows = RowReader(bundle.manifest).read(json.loads(json.dumps(golden.columns)))
    for name, values in golden.batch.numbers.items():
        np.testing.assert_array_equal(rows.batch.numbers[name], values)
    assert rows.batch.categories == golden.batch.categories
    assert golden.difference(open_scorer(bundle).score(rows.batch)) <= 1e-9


def test_the_golden_answer_is_the_fitted_pipelines(bundle, linear, frame):
    first = float(linear.predict(frame.head(1))[0])
    assert read_golden(bundle).answer[0] == first


def test_golden_rows_that_were_changed_are_not_read(bundle):
    file = bundle.directory / "golden.json"
    file.write_text(file.read_text().replace("null", "0.0", 1))
    with pytest.raises(BundleDamaged, match=r"golden\.json holds other bytes"):
        read_golden(bundle)


def test_the_same_answer_differs_by_nothing():
    assert GOLDEN.difference(GOLDEN.answer.copy()) == 0
    assert replace(GOLDEN, answer=np.array([np.nan, np.inf])).difference(np.array([np.nan, np.inf])) == 0


@pytest.mark.parametrize(
    ("expected", "answer", "difference"),
    [
        ([0.5, 0.5], [0.5, 0.25], 0.25),
        ([1e6, 0.0], [1e6 + 1, 0.0], 1e-6),
        ([-1e6, 0.0], [-1e6 + 1, 0.0], 1e-6),
        ([0.0], [1e-12], 1e-12),
        ([1.0], [np.nan], np.inf),
        ([np.nan], [1.0], np.inf),
        ([np.inf], [-np.inf], np.inf),
        ([np.inf], [1.0], np.inf),
        ([1.0, 2.0], [1.0], np.inf),
        ([[1.0], [2.0]], [1.0, 2.0], np.inf),
    ],
)
def test_the_largest_difference_is_absolute_up_to_1_and_relative_above(expected, answer, difference):
    assert largest_difference(np.array(expected), np.array(answer)) == pytest.approx(difference, rel=1e-9)


def test_no_rows_differ_by_nothing():
    assert largest_difference(np.empty((0, 2)), np.empty((0, 2))) == 0
