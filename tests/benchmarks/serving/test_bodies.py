import io
import json

import numpy as np
import pyarrow as pa
import pytest

from benchmarks.serving import bodies
from benchmarks.serving.models import CATEGORIES, NUMBERS, synthetic_rows

ROWS = synthetic_rows(3)[0]


def test_rows_are_the_same_each_time():
    again, labels = synthetic_rows(3)
    assert again.equals(ROWS)
    assert set(labels) <= {"yes", "no"}


def test_rows_and_columns_say_the_same():
    rows = json.loads(bodies.everfresh_rows(ROWS))["instances"]
    columns = json.loads(bodies.everfresh_columns(ROWS))["inputs"]
    assert [list(row) for row in zip(*columns.values(), strict=True)] == rows
    assert json.loads(bodies.list_of_rows(ROWS))["rows"] == rows
    assert json.loads(bodies.dataframe_split(ROWS))["dataframe_split"]["data"] == rows


def test_an_arrow_stream_holds_the_table_with_its_categories_as_dictionaries():
    table = pa.ipc.open_stream(io.BytesIO(bodies.arrow(ROWS))).read_all()
    assert table.column("n0").to_pylist() == ROWS["n0"].tolist()
    assert all(pa.types.is_dictionary(table.schema.field(name).type) for name in CATEGORIES)
    assert table.column("c3").to_pylist() == ROWS["c3"].tolist()


@pytest.mark.parametrize("write", [bodies.v2, bodies.v2_with_pandas])
def test_a_tensor_has_one_value_for_each_row(write):
    tensors = json.loads(write(ROWS))["inputs"]
    assert [tensor["name"] for tensor in tensors] == [*NUMBERS, *CATEGORIES]
    assert {tuple(tensor["shape"]) for tensor in tensors} == {(3, 1)}


def test_answers_in_every_form_are_the_same_array():
    expected = np.array([[0.25, 0.75], [0.5, 0.5]])
    tensor = {"outputs": [{"data": [0.25, 0.75, 0.5, 0.5], "shape": [2, 2]}]}
    batch = pa.record_batch([pa.array(expected.tolist(), pa.list_(pa.float64(), 2))], names=["predictions"])
    stream = io.BytesIO()
    with pa.ipc.new_stream(stream, batch.schema) as writer:
        writer.write_batch(batch)
    said = json.dumps({"predictions": expected.tolist()}).encode()
    for answer in (
        bodies.predictions(said),
        bodies.either(said),
        bodies.either(stream.getvalue()),
        bodies.bare(json.dumps(expected.tolist()).encode()),
        bodies.first_tensor(json.dumps(tensor).encode()),
    ):
        np.testing.assert_array_equal(answer, expected)
