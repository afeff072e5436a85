"""Bodies that were valid once: every codec refuses what became of them, or reads what a naive reader reads."""

from __future__ import annotations

import base64
import copy
import csv
import io
import json
import math
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from everfresh.data.columns import plain_text
from everfresh.serving.http import azureml, invocations, tfserving, v2
from everfresh.serving.http.messages import Request
from everfresh.serving.inference import Inference
from everfresh.serving.refusals import Refusal

RECORDS = [
    {"distance": 900.5, "stops": 1, "weekend": False, "carrier": "AA", "booked_at": "2013-01-01T05:15:00"},
    {"distance": None, "stops": 0, "weekend": True, "carrier": None, "booked_at": None},
    {"distance": 1e3, "stops": 2, "weekend": None, "carrier": 'Ü"n:\\', "booked_at": 1357017300},
]
NAMES = list(RECORDS[0])
COLUMNS = {name: [record[name] for record in RECORDS] for name in NAMES}
ROWS = [list(record.values()) for record in RECORDS]
SPLIT = {"columns": NAMES, "index": [0, 1, 2], "data": ROWS}
TENSORS = [{"name": name, "datatype": "BYTES", "shape": [3], "data": values} for name, values in COLUMNS.items()]


def of_columns(value):
    return {name: values if isinstance(values, list) else [values] for name, values in value.items()}


def of_records(value):
    names = list(dict.fromkeys(name for record in value for name in record))
    return {name: [record.get(name) for record in value] for name in names}


def of_rows(value, names=NAMES):
    return {name: [row[place] for row in value] for place, name in enumerate(names)}


def of_split(value):
    return of_rows(value["data"], value.get("columns", NAMES))


def of_list(value):
    return of_rows(value) if isinstance(value[0], list) else of_records(value)


def of_any(value):
    if isinstance(value, list):
        return of_list(value)
    return of_split(value) if "data" in value else of_columns(value)


def cell(value):
    value = value[0] if isinstance(value, list) and value else None if value == [] else value
    return base64.b64decode(value["b64"]).decode() if isinstance(value, dict) and "b64" in value else value


def of_cells(table):
    return {name: [cell(value) for value in values] for name, values in table.items()}


def of_tensors(content):
    return {t["name"]: [v[0] if isinstance(v, list) else v for v in t["data"]] for t in content["inputs"]}


def of_examples(content):
    return of_cells(of_records([{**content.get("context", {}), **example} for example in content["examples"]]))


JSON_BODIES = {
    "V2": (v2.CODEC, {"id": "x", "inputs": TENSORS, "outputs": [{"name": "label"}]}, of_tensors),
    "dataframe_split": (invocations.CODEC, {"dataframe_split": SPLIT}, lambda c: of_split(c["dataframe_split"])),
    "dataframe_records": (
        invocations.CODEC,
        {"dataframe_records": RECORDS, "params": {"probabilities": True}},
        lambda c: of_list(c["dataframe_records"]),
    ),
    "instances": (invocations.CODEC, {"instances": ROWS}, lambda c: of_list(c["instances"])),
    "inputs": (
        invocations.CODEC,
        {"inputs": COLUMNS},
        lambda c: of_list(c["inputs"]) if isinstance(c["inputs"], list) else of_columns(c["inputs"]),
    ),
    "input_data": (azureml.CODEC, {"input_data": SPLIT}, lambda c: of_any(c["input_data"])),
    "data": (azureml.CODEC, {"data": RECORDS}, lambda c: of_any(c["data"])),
    "Inputs": (azureml.CODEC, {"Inputs": {"data": RECORDS}}, lambda c: of_any(next(iter(c["Inputs"].values())))),
    "row form": (tfserving.CODECS["predict"], {"instances": RECORDS}, lambda c: of_cells(of_records(c["instances"]))),
    "column form": (tfserving.CODECS["predict"], {"inputs": COLUMNS}, lambda c: of_cells(of_columns(c["inputs"]))),
    "examples": (tfserving.CODECS["classify"], {"context": {"stops": 1}, "examples": RECORDS}, of_examples),
}


def naive(column, values):
    """What a model should see of a column."""
    if column.is_category:
        return [plain_text(value) for value in values]
    if column.dtype == "datetime":
        values = [
            datetime.fromisoformat(v).replace(tzinfo=datetime.fromisoformat(v).tzinfo or UTC).timestamp()
            if isinstance(v, str)
            else v
            for v in values
        ]
    return [math.nan if value is None else float(value) for value in values]


def read_or_refused(codec, model, request):
    try:
        question = codec.read(request, model)
        return question, model.reader.read(question.table)
    except Refusal as refused:
        return refused


def asked(codec, model, body, **headers):
    """The rows that a codec reads; its answer is written, too. None where it refuses them."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    found = read_or_refused(codec, model, Request("POST", "/", named, body, "r1"))
    if isinstance(found, Refusal):
        assert 400 <= found.status < 500
        assert len(str(found)) < 1_000
        assert str(found).isprintable()
        return None
    question, rows = found
    answer = model.scorer.score(rows.batch)
    assert np.isfinite(answer).all()
    assert codec.write(Inference(model, answer, "r1", question.wants, rows.ids)).status == 200
    return rows


def check_read(rows, model, table):
    for column in model.manifest.columns:
        expected = naive(column, table[column.name])
        if column.is_category:
            assert list(rows.batch.categories[column.name]) == expected
        else:
            np.testing.assert_array_equal(rows.batch.numbers[column.name], expected)


HOSTILE = [
    None, True, False, 0, -1, 1.5, 2**53, 2**53 + 1, 2**63, 10**30, 1e308, 5e-324, "", "1e5", "nan", "NaN", "AA",
    "\x00", "\u202e", "\U0001f6eb", "x" * 1001, "__proto__", "constructor", "2013-01-01T05:15:00Z", "0001-01-01",
    "9999-12-31T23:59:59.999999+14:00", "noon", [], [1], [[1]], [None], {}, {"a": 1}, {"b64": "QUE="}, {"b64": "/w=="},
    {"b64": 5}, {"__class__": "x"}, [1] * 50,
]  # fmt: skip
KEYS = [
    "__proto__",
    "__class__",
    "constructor",
    "",
    "stops",
    "data",
    "flight_id",
    "$id",
    "$time",
    "delayed",
    "a" * 90,
    "\n\x1b[31m",
]

quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def places(content, path=()):
    """Every place in a JSON value."""
    yield path
    if isinstance(content, dict | list):
        for key, value in content.items() if isinstance(content, dict) else enumerate(content):
            yield from places(value, (*path, key))


@st.composite
def changed_contents(draw, content):
    """The content with a value replaced, dropped, doubled or renamed, at one to three places."""
    content = copy.deepcopy(content)
    for _ in range(draw(st.integers(1, 3))):
        every = [path for path in places(content) if path]
        if not every:
            break
        *above, last = draw(st.sampled_from(every))
        within = content
        for step in above:
            within = within[step]
        change = draw(st.sampled_from(["replace", "replace", "drop", "double", "rename"]))
        if change == "replace":
            within[last] = copy.deepcopy(draw(st.sampled_from(HOSTILE)))
        elif change == "drop":
            del within[last]
        elif isinstance(within, list):
            within.insert(last, copy.deepcopy(within[last]))
        else:
            within[draw(st.sampled_from(KEYS))] = within.pop(last) if change == "rename" else within[last]
    return content


@pytest.mark.parametrize("form", JSON_BODIES)
@given(data=st.data())
@quick
def test_json_with_other_values_in_it_is_refused_or_read_as_it_says(flights_model, form, data):
    codec, content, back = JSON_BODIES[form]
    content = data.draw(changed_contents(content))
    rows = asked(codec, flights_model, json.dumps(content).encode())
    if rows is not None:
        check_read(rows, flights_model, back(content))


@st.composite
def changed_bytes(draw, body):
    """The body with bytes replaced, dropped, put in, or repeated."""
    changed = bytearray(body)
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(changed)))
        length = draw(st.integers(1, 6))
        put = draw(
            st.binary(max_size=4)
            | st.sampled_from([b'"', b",", b":", b"[", b"}", b"\\", b"NaN", b"1e999", b"0", b"\n", b"\xff"])
        )
        again = bytes(changed[place : place + length])
        kept = draw(st.sampled_from([changed[place + length :], again + changed[place:], changed[place:]]))
        changed = changed[:place] + put + kept
        if draw(st.integers(0, 9)) == 0:
            changed = changed[:place]
    return bytes(changed)


@pytest.mark.parametrize("form", JSON_BODIES)
@given(data=st.data())
@quick
def test_json_of_other_bytes_is_refused_or_read_as_it_says(flights_model, form, data):
    codec, content, back = JSON_BODIES[form]
    body = data.draw(changed_bytes(json.dumps(content).encode()))
    rows = asked(codec, flights_model, body)
    if rows is not None:
        check_read(rows, flights_model, back(json.loads(body, parse_constant=lambda word: None)))


CSV_BODY = "\n".join(
    [",".join(NAMES), "900.5,1,False,AA,2013-01-01T05:15:00", ",0,True,,", "1e3,2,,B6,1357017300", '7,1,0,"a ""b""",']
).encode()


@pytest.mark.parametrize("kind", ["text/csv", "text/csv; header=present"])
@given(data=st.data())
@quick
def test_csv_of_other_bytes_is_refused_or_read_as_it_says(flights_model, kind, data):
    body = data.draw(changed_bytes(CSV_BODY))
    rows = asked(invocations.CODEC, flights_model, body, content_type=kind, accept="text/csv")
    lines = [line for line in csv.reader(io.StringIO(body.decode("utf-8-sig", "replace"), newline="")) if line]
    if rows is None or not lines or not {*NAMES} & {*lines[0]}:
        return
    header, *fields = lines
    for column in flights_model.manifest.columns:
        texts = [line[header.index(column.name)] for line in fields]
        if column.is_category:
            assert list(rows.batch.categories[column.name]) == [text or None for text in texts]
        elif column.dtype in ("float", "integer"):
            expected = [float(text) if text else math.nan for text in texts]
            np.testing.assert_array_equal(rows.batch.numbers[column.name], expected)


RAW = {
    "distance": ("FP64", np.array([900.5, np.nan, 1e3])),
    "stops": ("INT32", np.array([1, 0, 2], dtype=np.int32)),
    "weekend": ("BOOL", np.array([False, True, False])),
    "booked_at": ("FP64", np.array([1.4e9, np.nan, 1.3e9])),
    "carrier": ("BYTES", b"\x02\x00\x00\x00AA\x00\x00\x00\x00\x03\x00\x00\x00\xc3\x9cn"),
}


def binary_body():
    parts = {name: values if isinstance(values, bytes) else values.tobytes() for name, (_, values) in RAW.items()}
    inputs = [
        {"name": name, "datatype": RAW[name][0], "shape": [3], "parameters": {"binary_data_size": len(part)}}
        for name, part in parts.items()
    ]
    return json.dumps({"inputs": inputs}).encode(), b"".join(parts.values())


@given(data=st.data())
@settings(quick, max_examples=300)
def test_binary_tensors_of_other_bytes_are_refused_or_read_as_they_say(flights_model, data):
    head, raw = binary_body()
    part = data.draw(st.sampled_from(["head", "raw", "length", "nothing"]))
    head = data.draw(changed_bytes(head)) if part == "head" else head
    raw = data.draw(changed_bytes(raw)) if part == "raw" else raw
    length = len(head) + (data.draw(st.integers(-9, 9)) if part == "length" else 0)
    rows = asked(v2.CODEC, flights_model, head + raw, inference_header_content_length=str(length))
    assert rows is not None or part != "nothing"
    if rows is None or part == "head":
        return
    assert len(raw) == len(binary_body()[1])
    np.testing.assert_array_equal(rows.batch.numbers["distance"], np.frombuffer(raw, "<f8", 3))
    np.testing.assert_array_equal(rows.batch.numbers["stops"], np.frombuffer(raw, "<i4", 3, 24))
    np.testing.assert_array_equal(rows.batch.numbers["weekend"], np.frombuffer(raw, "<u1", 3, 36))
    texts, start = [], 63
    while start < len(raw):
        length = int.from_bytes(raw[start : start + 4], "little")
        texts.append(raw[start + 4 : start + 4 + length].decode())
        start += 4 + length
    assert rows.batch.categories["carrier"] == texts
