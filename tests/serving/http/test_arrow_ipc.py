"""Arrow bodies mean what the same rows mean in JSON, and the ones that lie are refused."""

from __future__ import annotations

import datetime as dt
import json
import struct
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from everfresh.data.columns import Column
from everfresh.packaging.batch import EncodedCategories
from everfresh.packaging.manifest import Manifest
from everfresh.serving.http import arrow_messages, invocations, v2
from everfresh.serving.http.arrow_ipc import STREAM, read_table
from everfresh.serving.http.messages import Request
from everfresh.serving.questions.decoding import RowReader
from everfresh.serving.refusals import Refusal

COLUMNS = (
    Column("distance", "float"),
    Column("stops", "integer"),
    Column("weekend", "boolean"),
    Column("carrier", "category"),
    Column("booked_at", "datetime"),
)
MANIFEST = Manifest(
    name="flights",
    task="classification",
    classes=("late", "on time"),
    columns=COLUMNS,
    label="delayed",
    id_column="flight_id",
    time_column="scheduled_at",
    created_at=dt.datetime(2013, 1, 1, tzinfo=dt.UTC),
)
READER = RowReader(MANIFEST)


def stream(*batches, **options):
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batches[0].schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        for batch in batches:
            writer.write(batch)
    return sink.getvalue().to_pybytes()


def read(body):
    return READER.read(read_table(Request("POST", "/", {"content-type": STREAM}, body, "r1"), MANIFEST))


def read_or_refused(body):
    try:
        return read(body)
    except Refusal as refused:
        return refused


def refusal_of(body):
    with pytest.raises(Refusal) as refused:
        read(body)
    return refused.value


def table_of(plain, rows=40, **changes):
    columns = {name: pa.array(values[:rows]) for name, values in plain.items()} | changes
    return pa.table({name: column for name, column in columns.items() if column is not None})


def times(plain):
    return [None if text is None else dt.datetime.fromisoformat(text) for text in plain["booked_at"]]


CARRIERS = {
    "text": pa.string(),
    "large text": pa.large_string(),
    "views of text": pa.string_view(),
    "a dictionary": pa.dictionary(pa.int32(), pa.string()),
    "a dictionary of bytes' codes": pa.dictionary(pa.uint8(), pa.large_string()),
}


@pytest.mark.parametrize("rows", [40, 8])
@pytest.mark.parametrize("kind", CARRIERS)
def test_text_of_every_kind_is_the_text_of_json(plain, kind, rows):
    carrier = pa.array(plain["carrier"][:rows])
    encoded = carrier.dictionary_encode().cast(CARRIERS[kind]) if "dictionary" in kind else carrier.cast(CARRIERS[kind])
    found = read(stream(table_of(plain, rows, carrier=encoded))).batch.categories["carrier"]
    assert list(found) == plain["carrier"][:rows]
    assert isinstance(found, EncodedCategories) == (
        kind in ("a dictionary", "a dictionary of bytes' codes") and rows == 40
    )


@pytest.mark.parametrize("rows", [40, 8])
@pytest.mark.parametrize("kind", ["timestamp[s]", "timestamp[ms]", "timestamp[us]", "timestamp[ns]", "zone", "text"])
def test_times_of_every_unit_are_the_times_of_json(plain, kind, rows):
    expected = READER.read({name: values[:rows] for name, values in plain.items()}).batch.numbers["booked_at"]
    kinds = {"zone": pa.timestamp("us", "America/New_York"), "text": pa.string()}
    booked = (
        pa.array(plain["booked_at"][:rows])
        if kind == "text"
        else pa.array(times(plain)[:rows], kinds.get(kind) or pa.type_for_alias(kind))
    )
    found = read(stream(table_of(plain, rows, booked_at=booked))).batch.numbers["booked_at"]
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("kind", [pa.date32(), pa.date64()])
def test_dates_are_their_midnights(plain, kind):
    days = [None, *[dt.date(1960 + day, 2, 3) for day in range(39)]]
    found = read(stream(table_of(plain, booked_at=pa.array(days, kind)))).batch.numbers["booked_at"]
    assert np.isnan(found[0])
    assert found[1] == dt.datetime(1960, 2, 3, tzinfo=dt.UTC).timestamp()


@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("kind", ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float32"])
def test_numbers_of_every_width_are_the_numbers_of_json(plain, kind, gaps):
    stops = [None if gaps and row % 3 == 0 else value for row, value in enumerate(plain["stops"])]
    found = read(stream(table_of(plain, stops=pa.array(stops, pa.type_for_alias(kind))))).batch.numbers["stops"]
    np.testing.assert_array_equal(found, READER.read({**plain, "stops": stops}).batch.numbers["stops"])


def test_half_floats_are_numbers(plain):
    halves = pa.array(np.arange(40, dtype=np.float16))
    np.testing.assert_array_equal(
        read(stream(table_of(plain, distance=halves))).batch.numbers["distance"], np.arange(40)
    )


def test_booleans_with_gaps_are_those_of_json(plain):
    weekend = [None, *plain["weekend"][1:]]
    found = read(stream(table_of(plain, weekend=pa.array(weekend)))).batch.numbers["weekend"]
    np.testing.assert_array_equal(found, READER.read({**plain, "weekend": weekend}).batch.numbers["weekend"])


def test_slices_and_several_batches_are_one_table(plain):
    whole = table_of(plain, carrier=pa.array(plain["carrier"]).dictionary_encode(), weekend=pa.array([True, None] * 20))
    parts = [whole.slice(3, 9).combine_chunks().to_batches()[0], whole.slice(12, 28).to_batches()[0]]
    found = read(stream(*parts)).batch
    expected = read(stream(whole.slice(3, 37))).batch
    assert list(found.categories["carrier"]) == list(expected.categories["carrier"]) == plain["carrier"][3:]
    for name in ("distance", "stops", "weekend", "booked_at"):
        np.testing.assert_array_equal(found.numbers[name], expected.numbers[name])


def test_dictionaries_may_change_from_batch_to_batch(plain):
    halves = [table_of({name: values[start : start + 20] for name, values in plain.items()}) for start in (0, 20)]
    batches = [
        half.set_column(3, "carrier", half["carrier"].combine_chunks().dictionary_encode()).to_batches()[0]
        for half in halves
    ]
    assert list(read(stream(*batches)).batch.categories["carrier"]) == plain["carrier"]


def test_a_dictionary_may_be_far_larger_than_its_rows_and_hold_nulls(plain):
    names = [None, *[f"carrier {number}" for number in range(50_000)]]
    codes = pa.array([None, 0, 50_000, *range(1, 38)], pa.int32())
    carrier = pa.DictionaryArray.from_arrays(codes, pa.array(names))
    found = list(read(stream(table_of(plain, carrier=carrier))).batch.categories["carrier"])
    assert found == [None, None, "carrier 49999", *names[1:38]]


def test_a_dictionary_of_numbers_is_a_column_of_numbers(plain):
    stops = pa.array(plain["stops"]).dictionary_encode()
    found = read(stream(table_of(plain, stops=stops))).batch.numbers["stops"]
    assert found.tolist() == plain["stops"]


def test_ids_and_times_of_rows_come_along_and_the_label_does_not_matter(plain):
    ids = pa.array([f"f{row}" for row in range(40)]).dictionary_encode()
    table = table_of(
        plain, flight_id=ids, delayed=pa.array([1] * 40, pa.decimal128(5)), scheduled_at=pa.array(times(plain))
    )
    rows = read(stream(table))
    assert rows.ids == tuple(f"f{row}" for row in range(40))
    assert rows.times[1] == np.datetime64(times(plain)[1], "us") or np.isnat(rows.times[1])


def test_a_column_of_nothing_is_one_of_missing_values(plain):
    found = read(stream(table_of(plain, distance=pa.nulls(40), carrier=pa.nulls(40)))).batch
    assert np.isnan(found.numbers["distance"]).all()
    assert list(found.categories["carrier"]) == [None] * 40


@pytest.mark.parametrize("codec", ["lz4", "zstd"])
def test_compressed_streams_and_files_are_read(plain, codec):
    table = table_of(plain)
    assert read(stream(table, compression=codec)).batch.rows == 40
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write(table)
    assert read(sink.getvalue().to_pybytes()).batch.rows == 40


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("distance", pa.array([1] * 40, pa.decimal128(10, 2)), "has the Arrow type decimal128(10, 2); send numbers"),
        ("distance", pa.array([b"x"] * 40), "has the Arrow type binary"),
        ("distance", pa.array([[1.0]] * 40), "has the Arrow type list<"),
        ("distance", pa.array([{"a": 1}] * 40), "has the Arrow type struct<"),
        ("distance", pa.array([dt.timedelta(1)] * 40), "has the Arrow type duration"),
        ("distance", pa.array([dt.time(1)] * 40), "has the Arrow type time64"),
        ("distance", pa.RunEndEncodedArray.from_arrays([40], [1.0]), "has the Arrow type run_end_encoded"),
        ("distance", pa.array([b"0" * 16] * 40, pa.uuid()), "has the Arrow type extension<arrow.uuid>"),
        ("distance", pa.array(range(40), pa.timestamp("s")), "holds times, and the model reads no time there"),
        ("carrier", pa.array(range(40), pa.date32()), "holds times, and the model reads no time there"),
        ("carrier", pa.array([b"A"] * 40).dictionary_encode(), "has the Arrow type dictionary<values=binary"),
        ("distance", pa.array([1.0] * 39 + [np.inf]), "Column 'distance', row 39: inf is not a finite number"),
        ("distance", pa.array(["1e5"] * 40), "row 0: '1e5' is not a number"),
        ("distance", pa.array([True] * 40), "row 0: true is not a number"),
        ("stops", pa.array([0.5] * 40), "row 0: 0.5 is not an integer"),
        ("stops", pa.array([None, 2**60] * 20), "row 1: 1152921504606846976 is not an integer that float64 can hold"),
        ("distance", pa.array([None, -(2**60)] * 20), "row 1: -1152921504606846976 is not an integer that float64"),
        ("stops", pa.array([2**64 - 1] * 40, pa.uint64()), "is not an integer that float64 can hold"),
        ("carrier", pa.array(["x" * 1001] * 40).dictionary_encode(), "is not a category of at most 1000 characters"),
        ("booked_at", pa.array([2**62] * 40, pa.timestamp("s")), "is not a time"),
        ("booked_at", pa.array(["noon"] * 40), "'noon' is not a time"),
        ("flight_id", pa.array([1.5] * 40), "1.5 is not an id"),
        ("flight_id", pa.array(["a", None] * 20).dictionary_encode(), "row 1: null is not an id"),
        ("colour", pa.array([1] * 40), "does not know the column 'colour'"),
        ("colour", pa.array([{"a": 1}] * 40), "does not know the column 'colour'"),
    ],
)  # fmt: skip
def test_columns_that_do_not_fit_are_refused_by_name(plain, name, values, message):
    refused = refusal_of(stream(table_of(plain, **{name: values})))
    assert refused.status == 422
    assert message in str(refused)


def test_a_missing_value_is_refused_where_none_may_be_missing(plain):
    strict = Manifest(**{**MANIFEST.__dict__, "columns": (Column("carrier", "category", nullable=False),)})
    body = stream(pa.table({"carrier": pa.array([*["AA"] * 39, None]).dictionary_encode()}))
    table = read_table(Request("POST", "/", {}, body, "r1"), strict)
    with pytest.raises(Refusal, match="Column 'carrier', row 39: null is not a value"):
        RowReader(strict).read(table)


def test_a_long_text_that_no_row_has_does_not_matter(plain):
    carrier = pa.DictionaryArray.from_arrays(pa.array([1] * 40, pa.int8()), pa.array(["x" * 5000, "AA"]))
    assert set(read(stream(table_of(plain, carrier=carrier))).batch.categories["carrier"]) == {"AA"}


def test_a_name_that_is_there_twice_is_refused(plain):
    table = table_of(plain).rename_columns(["distance", "distance", "weekend", "carrier", "booked_at"])
    assert "each is there once" in str(refusal_of(stream(table)))


def test_too_many_rows_columns_and_batches_are_refused(plain):
    nothing = pa.table({column.name: pa.nulls(10_001) for column in COLUMNS})
    assert (refusal_of(stream(nothing)).status, refusal_of(stream(nothing)).code) == (413, "batch_too_large")
    assert "has 1,001 columns" in str(refusal_of(stream(pa.table({f"c{n}": pa.nulls(1) for n in range(1001)}))))
    one = table_of(plain, 1).to_batches()[0]
    assert "more than 1,000 messages" in str(refusal_of(stream(*[one] * 1000)))


def test_no_rows_are_refused(plain):
    empty = table_of({name: values[:0] for name, values in plain.items()}, stops=pa.array([], pa.int64()))
    assert refusal_of(stream(empty)).code == "empty_batch"
    sink = pa.BufferOutputStream()
    pa.ipc.new_stream(sink, table_of(plain).schema).close()
    assert refusal_of(sink.getvalue().to_pybytes()).code == "empty_batch"


def test_a_bomb_is_refused_before_it_is_unpacked():
    wide = pa.table({f"c{number}": pa.array(["x" * 900_000] * 10) for number in range(10)})
    body = stream(wide, compression="zstd")
    assert len(body) < 100_000
    before = pa.total_allocated_bytes()
    refused = refusal_of(body)
    assert (refused.status, refused.code) == (413, "too_large")
    assert pa.total_allocated_bytes() - before < 1_000_000


@pytest.mark.parametrize("claimed", [2**62, 2**40, 10, -2])
def test_a_buffer_that_lies_about_its_size_is_refused(plain, claimed):
    body = stream(table_of(plain, distance=pa.array([1.0] * 40)), compression="lz4")
    place = body.index(struct.pack("<q", 320))
    refused = refusal_of(body[:place] + struct.pack("<q", claimed) + body[place + 8 :])
    assert refused.status in (400, 413)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"x",
        b"ARROW1\x00\x00",
        b"\xff\xff\xff\xff",
        b"\xff\xff\xff\xff\x00\x00\x00\x00",
        b"\xff\xff\xff\xff\xff\xff\xff\x7f",
        b"\xff\xff\xff\xff\x10\x00\x00\x00" + b"\xff" * 16,
        b"\xff\xff\xff\xff\x10\x00\x00\x00" + b"\x00" * 16,
        b"PAR1" + b"\x00" * 100,
    ],
)
def test_what_is_no_stream_is_refused(body):
    refused = refusal_of(body)
    assert (refused.status, refused.code) == (400, "malformed")


def test_a_stream_that_ends_early_is_refused_or_whole(plain):
    body = stream(table_of(plain, carrier=pa.array(plain["carrier"]).dictionary_encode()))
    whole = read(body).batch.numbers["distance"]
    for end in range(0, len(body), 7):
        found = read_or_refused(body[:end])
        if isinstance(found, Refusal):
            assert 400 <= found.status < 500
        else:
            np.testing.assert_array_equal(found.batch.numbers["distance"], whole)


BODIES = [
    stream(
        pa.table(
            {
                "distance": pa.array([1.5, None, 3.0] * 15),
                "stops": pa.array([1, 2, None] * 15),
                "weekend": pa.array([True, None, False] * 15),
                "carrier": carrier,
                "booked_at": pa.array([1, 2, 3] * 15, pa.timestamp("ms")),
                "flight_id": pa.array([f"f{row}" for row in range(45)]),
            }
        ),
        **options,
    )
    for carrier in (
        pa.array(["AA", None, "ZZ"] * 15),
        pa.array(["AA", None, "ZZ"] * 15, pa.string_view()),
        pa.array(["AA", None, "ZZ"] * 15).dictionary_encode(),
    )
    for options in ({}, {"compression": "lz4"})
]


def oracle(body):
    """The rows by pyarrow's own conversion, which shares nothing with ours."""
    table = pa.ipc.open_stream(body).read_all()
    table.validate(full=True)
    return table.to_pydict()


@given(st.sampled_from(BODIES), st.data())
@settings(max_examples=300, deadline=None)
def test_a_stream_with_changed_bytes_is_refused_or_read_as_pyarrow_reads_it(body, data):
    changed = bytearray(body)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(body) - 1))
        changed[place] = data.draw(st.sampled_from([0, 1, 2, 127, 128, 254, 255]) | st.integers(0, 255))
    rows = read_or_refused(bytes(changed))
    if isinstance(rows, Refusal):
        assert 400 <= rows.status < 500
        return
    expected = oracle(bytes(changed))
    assert list(rows.batch.categories["carrier"]) == expected["carrier"]
    for name in ("distance", "stops", "weekend"):
        numbers = np.array([np.nan if value is None else value for value in expected[name]], dtype=np.float64)
        np.testing.assert_array_equal(rows.batch.numbers[name], numbers)


@given(st.binary(max_size=200))
@settings(max_examples=300, deadline=None)
def test_random_bytes_are_refused(body):
    assert 400 <= refusal_of(b"\xff\xff\xff\xff" + body).status < 500


def test_the_metadata_is_read_as_pyarrow_writes_it(plain):
    body = stream(*table_of(plain).to_batches(max_chunksize=16), compression="zstd")
    found = list(arrow_messages._messages(memoryview(body)))
    assert [kind for kind, *_ in found] == [1, 3, 3, 3]
    rows = [arrow_messages._number(metadata, header, 0, "<q") for kind, metadata, header, _ in found if kind == 3]
    assert rows == [16, 16, 8]


@pytest.mark.parametrize("encoded", [True, False])
def test_v2_answers_in_json_or_as_a_stream(ask, flights_model, v1, features, plain, encoded):
    carrier = pa.array(plain["carrier"])
    body = stream(table_of(plain, carrier=carrier.dictionary_encode() if encoded else carrier))
    answered = ask(v2.CODEC, flights_model, body, content_type=STREAM, accept=STREAM)
    assert answered.content_type == STREAM
    table = pa.ipc.open_stream(answered.body).read_all()
    expected = v1.answer(features)
    np.testing.assert_allclose(np.array(table["probabilities"].to_pylist()), expected, rtol=0, atol=1e-12)
    assert table["label"].to_pylist() == [("late", "on time")[best] for best in expected.argmax(axis=1)]
    assert table["id"].to_pylist()[:2] == ["r1-0", "r1-1"]
    assert table.schema.metadata[b"model_version"] == b"1"
    assert json.loads(table.schema.metadata[b"classes"]) == ["late", "on time"]
    in_json = json.loads(ask(v2.CODEC, flights_model, body, content_type=STREAM).body)["outputs"]
    np.testing.assert_array_equal(np.reshape(in_json[0]["data"], (40, 2)), np.array(table["probabilities"].to_pylist()))


def test_json_may_be_answered_as_a_stream(ask, flights_model, minutes_model, minutes, features, plain):
    tensors = json.dumps({"inputs": [{"name": name, "data": values} for name, values in plain.items()]}).encode()
    answered = ask(v2.CODEC, minutes_model, tensors, accept=f"{STREAM}, application/json")
    values = pa.ipc.open_stream(answered.body).read_all()["value"]
    np.testing.assert_allclose(values.to_numpy(), minutes.answer(features), rtol=1e-12)


def test_invocations_answer_a_stream_of_predictions(ask, flights_model, minutes_model, v1, features, plain):
    body = stream(table_of(plain))
    ids = {"content_type": STREAM, "accept": STREAM}
    labels = pa.ipc.open_stream(ask(invocations.CODEC, flights_model, body, **ids).body).read_all()
    expected = [("late", "on time")[best] for best in v1.answer(features).argmax(axis=1)]
    assert labels["predictions"].to_pylist() == expected
    wanted = {**ids, "x_amzn_sagemaker_custom_attributes": "probabilities=true"}
    probabilities = pa.ipc.open_stream(ask(invocations.CODEC, flights_model, body, **wanted).body).read_all()
    found = np.array(probabilities["predictions"].to_pylist())
    np.testing.assert_allclose(found, v1.answer(features), rtol=0, atol=1e-12)
    values = pa.ipc.open_stream(ask(invocations.CODEC, minutes_model, body, **ids).body).read_all()
    assert values.schema.field("predictions").type == pa.float64()


WITHOUT_PANDAS = """
import datetime, sys
from everfresh.serving.arrow import keep_pandas_out
keep_pandas_out()
import numpy as np
from everfresh.data.columns import Column
from everfresh.packaging.manifest import Manifest
from everfresh.serving.questions.decoding import RowReader
from everfresh.serving.http import arrow_ipc
from everfresh.serving.http.messages import Request
from everfresh.serving.inference import Inference
from everfresh.serving.versions.models import LoadedModel

columns = tuple(Column(name, kind) for name, kind in zip(sys.argv[2::2], sys.argv[3::2]))
made = datetime.datetime.now(datetime.UTC)
manifest = Manifest(name="m", task="classification", classes=("a", "b"), columns=columns, label="y", created_at=made)
model = LoadedModel("m", 1, manifest, None, RowReader(manifest))
body = open(sys.argv[1], "rb").read()
rows = model.reader.read(arrow_ipc.read_table(Request("POST", "/", {}, body, "r1"), manifest)).batch.rows
inference = Inference(model, np.full((rows, 2), 0.5), "r1")
assert arrow_ipc.write_answer(inference).body and arrow_ipc.write_predictions(inference, probabilities=False).body
print(rows, "pandas" in sys.modules)
"""


def test_no_stream_brings_pandas_in(plain, tmp_path):
    carrier = pa.array(plain["carrier"]).dictionary_encode()
    file = tmp_path / "body"
    file.write_bytes(stream(table_of(plain, carrier=carrier, booked_at=pa.array(times(plain))), compression="lz4"))
    kinds = [word for column in COLUMNS for word in (column.name, column.dtype)]
    command = [sys.executable, "-c", WITHOUT_PANDAS, str(file), *kinds]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout.split() == ["40", "False"], done.stderr


def test_a_server_answers_a_large_stream(served, v1, flights):
    many = flights[[column.name for column in COLUMNS]].sample(1000, replace=True, random_state=1)
    table = pa.Table.from_pandas(many, preserve_index=False)
    table = table.set_column(3, "carrier", table["carrier"].combine_chunks().dictionary_encode())
    headers = {"content-type": STREAM, "accept": STREAM}
    answered = served.post("/v2/models/flights/infer", content=stream(table), headers=headers)
    assert answered.status_code == 200, answered.text
    found = np.array(pa.ipc.open_stream(answered.content).read_all()["probabilities"].to_pylist())
    np.testing.assert_allclose(found, v1.answer(many), rtol=0, atol=1e-12)
    refused = served.post("/v2/models/flights/infer", content=stream(table)[:-500], headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (400, "malformed")
