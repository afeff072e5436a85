from __future__ import annotations

import json
import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from everfresh.packaging.batch import Batch, EncodedCategories
from everfresh.packaging.codes import CategoryCodes, Codes

codes_of_a_category = st.builds(
    CategoryCodes,
    known=st.dictionaries(st.text(max_size=5), st.floats(allow_nan=False, allow_infinity=False), max_size=5),
    missing=st.one_of(st.just(math.nan), st.floats(-5, 5)),
    unseen=st.one_of(st.just(math.nan), st.floats(-5, 5)),
)


def test_columns_come_in_the_order_of_the_plan_and_not_of_the_batch():
    codes = Codes(("b", "carrier", "a"), {"carrier": CategoryCodes({"AA": 3.0}, missing=4.0, unseen=-1.0)})
    batch = Batch(2, {"a": np.array([1.0, 2.0]), "b": np.array([5.0, np.nan])}, {"carrier": ["AA", "ZZ"]})
    np.testing.assert_array_equal(codes.matrix(batch), [[5.0, 3.0, 1.0], [np.nan, -1.0, 2.0]])


def test_columns_that_the_plan_does_not_use_are_left_out():
    batch = Batch(1, {"a": np.array([1.0]), "unused": np.array([9.0])}, {"unused too": ["x"]})
    assert Codes(("a",), {}).matrix(batch).tolist() == [[1.0]]


def test_the_empty_text_is_a_category_and_not_a_missing_one():
    codes = Codes(("carrier",), {"carrier": CategoryCodes({"AA": 0.0}, missing=7.0, unseen=-1.0)})
    assert codes.matrix(Batch(2, {}, {"carrier": ["", None]})).tolist() == [[-1.0], [7.0]]


@settings(max_examples=50)
@given(codes_of_a_category, st.lists(st.one_of(st.none(), st.text(max_size=3)), min_size=1, max_size=8))
def test_a_dictionary_of_categories_has_the_codes_of_its_rows(codes, values):
    distinct = list(dict.fromkeys(value for value in values if value is not None))
    places = np.array([-1 if value is None else distinct.index(value) for value in values], dtype=np.int32)
    encoded = EncodedCategories(places, distinct)
    assert encoded.to_list() == values
    expected = [codes.missing if value is None else codes.known.get(value, codes.unseen) for value in values]
    np.testing.assert_array_equal(codes.of(values), expected)
    np.testing.assert_array_equal(codes.of(encoded), expected)
    np.testing.assert_array_equal([codes.of_first(values), codes.of_first(encoded)], [expected[0]] * 2)


def test_one_row_has_the_codes_that_it_has_among_many():
    codes = Codes(("a", "carrier", "a"), {"carrier": CategoryCodes({"AA": 3.0}, missing=4.0, unseen=-1.0)})
    batch = Batch(3, {"a": np.array([1.0, np.nan, -0.0])}, {"carrier": ["AA", None, "ZZ"]})
    for row in range(3):
        one = Batch(1, {"a": batch.numbers["a"][[row]]}, {"carrier": [batch.categories["carrier"][row]]})
        np.testing.assert_array_equal(codes.matrix(one), codes.matrix(batch)[[row]])


def test_what_was_looked_up_in_vain_is_not_remembered():
    codes = CategoryCodes({"AA": 0.0}, missing=7.0, unseen=-1.0)
    codes.of([f"unseen {number}" for number in range(1000)])
    assert len(codes._lookup) == 2


def test_a_code_that_is_nan_is_null_in_json():
    codes = Codes(("carrier",), {"carrier": CategoryCodes({"AA": 0.0}, missing=math.nan, unseen=-1.0)})
    assert codes.to_json()["categories"]["carrier"]["missing"] is None
    read = Codes.from_json(json.loads(json.dumps(codes.to_json(), allow_nan=False)))
    assert np.isnan(read.matrix(Batch(1, {}, {"carrier": [None]}))).all()


@settings(max_examples=50)
@given(st.dictionaries(st.text(max_size=5), codes_of_a_category, max_size=3))
def test_codes_come_back_from_json_as_they_were(categories):
    codes = Codes(("distance", *categories), categories)
    read = Codes.from_json(json.loads(json.dumps(codes.to_json(), allow_nan=False)))
    assert read.inputs == codes.inputs
    assert repr(read.categories) == repr(codes.categories)
