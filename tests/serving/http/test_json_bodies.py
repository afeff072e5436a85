from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from everfresh.serving.http.json_bodies import read_json, read_json_with_nan
from everfresh.serving.refusals import DuplicateKey, NonFinite, Refusal


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        (b"", "bad_json", "it is empty (byte 0)"),
        (b" \n", "bad_json", "it is empty"),
        (b"{", "bad_json", "(byte 1)"),
        (b'{"a": 1} x', "bad_json", "(byte 9)"),
        (b'{"a": 01}', "bad_json", "leading zero"),
        (b'{"a": NaN}', "non_finite", "NaN and Infinity are not JSON"),
        (b'{"a": [1, -Infinity]}', "non_finite", "a missing value is written as null"),
        (b'{"a": 1e999}', "non_finite", "beyond what float64 can hold (byte 6)"),
        (b"[" + b"9" * 5000 + b"]", "non_finite", "beyond what float64 can hold"),
        (b"[" * 100_000, "too_deep", "nested too deeply"),
        (b'{"a":' * 100_000, "too_deep", "nested too deeply"),
        (b'{"a": "\xff"}', "bad_encoding", "not UTF-8"),
        ('{"a": 1}'.encode("utf-16"), "bad_encoding", "not UTF-8"),
        (b"\xef\xbb\xbf{}", "bad_encoding", "not UTF-8"),
        (b'["\\ud800"]', "bad_encoding", "not UTF-8"),
    ],
)  # fmt: skip
def test_what_is_not_json_is_refused_with_its_reason(body, code, message):
    with pytest.raises(Refusal) as refused:
        read_json(body)
    assert (refused.value.status, refused.value.code) == (400, code)
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (b'{"a":1,"a":2}', "a"),
        (b'{"a" : 1, "b":[{"c":":"}], "a"\n:2}', "a"),
        (b'{"inputs":[{"name":"x","data":[1],"name":"y"}]}', "name"),
        (b'{"inputs":{"x":[":"],"y":["a:b"],"x":["::"]}}', "x"),
        (b'{"a":{"b":{"c":1,"c":2}}}', "c"),
        (b'{"a":"\\":","b":"\\\\","a":1}', "a"),
        (b'{"\\u0061":1,"a":2}', "a"),
        (b'{"":1,"":2}', ""),
        (b'[{"a":[{"b":1,"b":1}]}]', "b"),
    ],
)
def test_a_key_that_is_there_twice_is_refused_by_name(body, name):
    with pytest.raises(DuplicateKey) as refused:
        read_json(body)
    assert (refused.value.status, refused.value.field) == (422, name)


def test_a_key_that_is_there_twice_far_below_is_refused_without_its_name():
    body = b"[" * 1000 + b'{"a":1,"a":2}' + b"]" * 1000
    with pytest.raises(DuplicateKey, match="A key is there twice"):
        read_json(body)


texts = st.text(alphabet=st.sampled_from(list('ab":\\{},[]: \n\t\u2028é')), max_size=5)
contents = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


@given(contents, st.sampled_from([(",", ":"), (", ", ": "), (" , ", " :\t"), (",\n", "\r\n:")]), st.booleans())
@settings(max_examples=150, deadline=None)
def test_no_other_object_is_said_to_have_a_key_twice(content, separators, ascii_only):
    body = json.dumps(content, separators=separators, ensure_ascii=ascii_only).encode()
    assert read_json(body) == content


@given(st.dictionaries(texts, contents, min_size=1, max_size=4), st.data())
@settings(max_examples=100, deadline=None)
def test_no_key_that_is_there_twice_is_overlooked(content, data):
    key = data.draw(st.sampled_from(list(content)))
    body = json.dumps(content)[:-1] + f", {json.dumps(key)}: {json.dumps(data.draw(contents))}}}"
    wrapped = data.draw(st.sampled_from(["%s", "[%s]", '{"a": %s}', '{"inputs": [{"b": 1}, %s]}'])) % body
    with pytest.raises(DuplicateKey):
        read_json(wrapped.encode())


def test_where_nan_may_be_said_it_is_a_missing_value():
    assert read_json_with_nan(b'{"a": [NaN, 1.0, null], "NaN": "NaN \\" NaN"}') == {
        "a": [None, 1.0, None],
        "NaN": 'NaN " NaN',
    }


@pytest.mark.parametrize("body", [b"[Infinity]", b"[NaN, -Infinity]", b"[1e999]", b'["\xff", NaN]', b'{"a":NaN,"a":1}'])
def test_where_nan_may_be_said_other_faults_stay_faults(body):
    with pytest.raises(Refusal):
        read_json_with_nan(body)


def test_an_infinite_number_is_refused_with_its_place():
    with pytest.raises(NonFinite, match=r"Infinity is no value of a column.*\(byte 6\)"):
        read_json_with_nan(b"[NaN, -Infinity]")
