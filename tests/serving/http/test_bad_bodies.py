"""The same bad bodies on every path that takes rows: a sentence, never a failure, and the server goes on."""

from __future__ import annotations

import json

import pytest

GOOD = {"distance": 900.5, "stops": 1, "weekend": True, "carrier": "AA", "booked_at": "2013-01-01T05:15:00Z"}
LABELS = {
    "/v2/models/flights/infer": lambda content: content["outputs"][1]["data"],
    "/invocations": lambda content: content["predictions"],
    "/score": lambda content: content,
    "/v1/models/flights:predict": lambda content: [row["label"] for row in content["predictions"]],
    "/v1/models/flights:classify": lambda content: [
        max(row, key=lambda pair: pair[1])[0] for row in content["results"]
    ],
}
PATHS = list(LABELS)


def content_of(path, records):
    """The records in the words of a protocol."""
    if path.startswith("/v2"):
        names = list(records[0]) if records else list(GOOD)
        return {"inputs": [{"name": name, "data": [record[name] for record in records]} for name in names]}
    form = {"/invocations": "dataframe_records", "/score": "data", "/v1/models/flights:predict": "instances"}
    return {form.get(path, "examples"): records}


def sent(served, path, body, **headers):
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"content-type": "application/json", "x-model": "flights"} | headers
    return served.post(path, content=body, headers=headers)


def check_refused(response, *statuses):
    assert response.status_code in statuses, response.text
    told = response.json()
    assert 0 < len(told["error"]) < 500
    assert "Traceback" not in response.text
    assert "/work" not in response.text


@pytest.fixture(autouse=True)
def _is_well_afterwards(served):
    yield
    for path, labels in LABELS.items():
        answered = sent(served, path, content_of(path, [GOOD]))
        assert answered.status_code == 200, answered.text
        assert labels(answered.json())[0] in ("late", "on time")


@pytest.mark.parametrize("path", PATHS)
def test_every_path_answers_the_same(served, path):
    answers = [labels(sent(served, other, content_of(other, [GOOD])).json()) for other, labels in LABELS.items()]
    assert LABELS[path](sent(served, path, content_of(path, [GOOD])).json()) == answers[0]
    assert all(answer == answers[0] for answer in answers)


@pytest.mark.parametrize("path", PATHS)
def test_what_is_no_json_is_refused(served, path):
    good = json.dumps(content_of(path, [GOOD]))
    for body in (
        b"",
        b"{",
        good.encode() + b"x",
        good.replace("900.5", "Infinity").encode(),
        good.replace("900.5", "1e999").encode(),
        good.replace("900.5", "9" * 5000).encode(),
        b"[" * 100_000,
        b'{"a":' * 100_000,
        good.encode("utf-16"),
        b"\xef\xbb\xbf" + good.encode(),
        good.replace("AA", "\xff").encode("latin-1"),
        good.replace("AA", "\\ud800").encode(),
        b"null",
        b"5",
        b'"x"',
    ):
        check_refused(sent(served, path, body), 400)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("kind", ["application/x-python-pickle", "multipart/form-data; boundary=x", "text/xml", "x"])
def test_a_body_of_another_kind_is_refused(served, path, kind):
    check_refused(sent(served, path, content_of(path, [GOOD]), **{"content-type": kind}), 415, 400)


@pytest.mark.parametrize("path", PATHS)
def test_rows_that_are_too_few_or_too_many_are_refused(served, path):
    check_refused(sent(served, path, content_of(path, [])), 400)
    check_refused(sent(served, path, content_of(path, [GOOD] * 10_001)), 413)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("distance", "900.5"),
        ("distance", "1e5"),
        ("distance", True),
        ("distance", [[1]]),
        ("distance", {"a": 1}),
        ("distance", 2**53 + 1),
        ("stops", 1.5),
        ("stops", 10**30),
        ("weekend", 2),
        ("weekend", "true"),
        ("carrier", ["a", "b"]),
        ("carrier", {}),
        ("carrier", "x" * 1_000_000),
        ("carrier", 10**30),
        ("booked_at", "noon"),
        ("booked_at", 1e300),
        ("booked_at", True),
        ("__proto__", 1),
        ("__class__", "x"),
        ("constructor", {"prototype": 1}),
        ("", 1),
    ],
)  # fmt: skip
def test_a_value_that_does_not_fit_is_refused(served, path, name, value):
    check_refused(sent(served, path, content_of(path, [GOOD | {name: value}])), 422, 400)
    if name in GOOD:
        check_refused(sent(served, path, content_of(path, [GOOD, GOOD | {name: value}])), 422, 400)


@pytest.mark.parametrize("path", PATHS)
def test_a_column_that_is_missing_or_there_twice_is_refused(served, path):
    check_refused(sent(served, path, content_of(path, [{key: GOOD[key] for key in GOOD if key != "stops"}])), 422, 400)
    twice = json.dumps(content_of(path, [GOOD]))
    twice = (
        twice.replace('{"name": "stops"', '{"name": "distance"')
        if "v2" in path
        else twice.replace('"stops"', '"distance": 1, "stops"')
    )
    check_refused(sent(served, path, twice.encode()), 422, 400)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "carrier", ["\x00", "\u202eAA", "\U0001f6eb", "__proto__", "", "'; DROP TABLE", "x" * 1000, None, 5]
)
def test_a_strange_category_is_one_that_training_never_saw(served, path, carrier):
    unseen = LABELS[path](sent(served, path, content_of(path, [GOOD | {"carrier": "no such"}])).json())
    answered = sent(served, path, content_of(path, [GOOD | {"carrier": carrier}]))
    assert answered.status_code == 200, answered.text
    assert LABELS[path](answered.json()) == unseen or carrier is None
