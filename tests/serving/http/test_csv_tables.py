from __future__ import annotations

import json

import pytest

from everfresh.data.columns import Column, plain_text
from everfresh.packaging.manifest import Manifest
from everfresh.serving.http.csv_tables import read_csv, write_csv
from everfresh.serving.http.invocations import CODEC
from everfresh.serving.http.messages import Request
from everfresh.serving.refusals import Refusal


def csv_of(plain, *, header=True):
    rows = [
        ",".join("" if value is None else str(plain_text(value)) for value in row)
        for row in zip(*plain.values(), strict=True)
    ]
    return "\n".join([",".join(plain), *rows] if header else rows).encode()


def read(body, manifest, kind="text/csv"):
    return read_csv(Request("POST", "/", {"content-type": kind}, body, "r1"), manifest)


def refusal_of(body, manifest, kind="text/csv"):
    with pytest.raises(Refusal) as refused:
        read(body, manifest, kind)
    return refused.value


@pytest.fixture(scope="module")
def manifest(v1):
    return v1.bundle.manifest


def of_texts(manifest):
    return Manifest(**{**manifest.__dict__, "columns": (Column("carrier", "category"), Column("origin", "category"))})


def test_a_table_without_a_header_is_in_the_models_order(plain, manifest):
    assert read(csv_of(plain, header=False), manifest) == read(csv_of(plain), manifest)


@pytest.mark.parametrize(
    "columns", [["distance"], ["carrier", "stops", "weekend", "distance", "booked_at"], ["flight_id"]]
)
def test_a_line_with_a_columns_name_in_it_is_a_header(manifest, columns):
    assert list(read((",".join(columns) + "\n" + ",".join("1" for _ in columns)).encode(), manifest)) == columns


def test_a_header_of_typos_is_no_row(manifest):
    assert list(read(b"distanse,stps,weekand,carier,boked_at\n1,1,1,AA,1\n", manifest)) == [
        "distanse", "stps", "weekand", "carier", "boked_at"
    ]  # fmt: skip


def test_where_all_columns_are_texts_only_the_content_type_says_that_there_is_no_header(manifest):
    texts = of_texts(manifest)
    assert list(read(b"AA,JFK\nUA,LGA\n", texts)) == ["AA", "JFK"]
    assert read(b"AA,JFK\nUA,LGA\n", texts, "text/csv; header=absent") == {
        "carrier": ["AA", "UA"],
        "origin": ["JFK", "LGA"],
    }


def test_the_content_type_is_believed(plain, manifest):
    assert len(read(csv_of(plain, header=False), manifest, 'text/csv; header="absent"; charset=UTF-8')["stops"]) == 40
    assert len(read(csv_of(plain), manifest, "text/csv;header=present")["stops"]) == 40
    assert "is not a number" in str(refusal_of(csv_of(plain), manifest, "text/csv; header=absent"))
    assert refusal_of(b"a", manifest, "text/csv; header=maybe").status == 400
    assert refusal_of(b"a", manifest, "text/csv; charset=latin-1").status == 415


@pytest.mark.parametrize(
    ("column", "text", "value"),
    [
        ("distance", "1e5", 1e5),
        ("distance", "-0.5", -0.5),
        ("distance", "", None),
        ("stops", "9007199254740993", 2**53 + 1),
        ("stops", "1" + "0" * 300, 10**300),
        ("weekend", "True", True),
        ("weekend", "false", False),
        ("weekend", "1", 1.0),
        ("carrier", "NA", "NA"),
        ("carrier", "5", "5"),
        ("booked_at", "20130101", "20130101"),
        ("booked_at", "1357017300", 1357017300.0),
        ("booked_at", "2013-01-01T05:15", "2013-01-01T05:15"),
    ],
)  # fmt: skip
def test_a_field_is_what_it_would_be_in_json(manifest, column, text, value):
    assert read(f"flight_id,{column}\na,{text}\n".encode(), manifest)[column] == [value]


@pytest.mark.parametrize(
    "text", ["1_000", "\u0661", "0x10", "nan", "inf", "-Infinity", "1e999", "9" * 5000, "1,5", "TRUE"]
)
def test_a_field_that_is_no_number_is_refused(manifest, text):
    refused = refusal_of(f'distance\n"{text}"\n'.encode(), manifest)
    assert (refused.status, refused.field) == (422, "distance")
    assert len(str(refused)) < 200


def test_the_limits_hold_for_tables(manifest):
    assert refusal_of(b"distance\n" + b"1\n" * 10_001, manifest).status == 413
    assert "1,001 columns" in str(refusal_of(b"," * 1000 + b"\n1", manifest))
    assert "not CSV" in str(refusal_of(b"distance\n" + b"1" * 200_000, manifest))


def test_empty_lines_say_nothing(manifest):
    assert read(b"\n\ndistance\r\n\r\n1\r\n", manifest) == {"distance": [1.0]}


def test_an_answer_is_a_line_for_each_row():
    assert write_csv(["late", 'on "time"', "a,b"]) == b'late\n"on ""time"""\n"a,b"\n'
    assert write_csv([[0.25, 0.75], [1.0, 0.0]]) == b"0.25,0.75\n1.0,0.0\n"


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("text/csv", "text/csv"),
        ("text/csv; q=0.5, application/json", "text/csv"),
        ("*/*", "application/json"),
        ("text/html", "application/json"),
        ("Text/CSV", "text/csv"),
        (None, "application/json"),
    ],
)
def test_sagemaker_says_what_it_accepts(ask, flights_model, plain, accept, kind):
    asked = {"content_type": "text/csv"} | ({"accept": accept} if accept else {})
    answered = ask(CODEC, flights_model, csv_of(plain, header=False), **asked)
    assert answered.content_type == kind
    in_json = json.loads(ask(CODEC, flights_model, json.dumps({"inputs": plain}).encode()).body)["predictions"]
    lines = answered.body.decode().splitlines() if kind == "text/csv" else json.loads(answered.body)["predictions"]
    assert lines == in_json


def test_probabilities_may_be_asked_for_by_sagemakers_header(ask, flights_model, plain):
    asked = {
        "content_type": "text/csv",
        "accept": "text/csv",
        "x_amzn_sagemaker_custom_attributes": "probabilities=true",
    }
    lines = ask(CODEC, flights_model, csv_of(plain), **asked).body.decode().splitlines()
    body = json.dumps({"inputs": plain, "params": {"probabilities": True}}).encode()
    expected = json.loads(ask(CODEC, flights_model, body).body)["predictions"]
    assert [[float(value) for value in line.split(",")] for line in lines] == expected
