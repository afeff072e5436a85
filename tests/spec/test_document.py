from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from everfresh.errors import InvalidSpec
from everfresh.spec.document import MAX_BYTES, read_document
from everfresh.spec.faults import Fault
from everfresh.spec.loading import load_spec

Write = Callable[[str | bytes], Path]
Faults = Callable[[str | bytes], tuple[Fault, ...]]

WHOLE = "(the whole file)"


def test_words_are_read_as_editors_read_them(write: Write) -> None:
    text = "{a: no, b: 12:30, c: 1e-6, d: 2013-01-01, e: 010, f: true, g: ~, h: '1', i: -3, j: .5, k: 1_000, 3: x}"
    assert read_document(write(text)).content == {
        "a": "no", "b": "12:30", "c": 1e-6, "d": "2013-01-01", "e": 10, "f": True, "g": None, "h": "1", "i": -3,
        "j": 0.5, "k": "1_000", "3": "x",
    }  # fmt: skip


_texts = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xD7FF, exclude_categories=["Cc"]), max_size=8)
_numbers = st.integers(-(10**17), 10**17) | st.floats(allow_nan=False, allow_infinity=False)
_values = st.recursive(
    st.none() | st.booleans() | _numbers | _texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_texts, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(_texts, _values, max_size=4))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_written_as_json_is_read_back(write: Write, content: dict[str, Any]) -> None:
    assert read_document(write(json.dumps(content, ensure_ascii=False))).content == content


@pytest.mark.parametrize(("text", "line", "read", "allowed"), [
    (b"", None, "nothing", "a spec is a mapping of sections, as in projects/flights.minimal.yaml"),
    (b"# nothing yet\n", None, "nothing", "a spec is a mapping of sections, as in projects/flights.minimal.yaml"),
    (b"- name: flights\n", 1, "a list", "a spec is a mapping of sections"),
    (b"flights\n", 1, "a single value", "a spec is a mapping of sections"),
    (b"a: 1\nname: \xff\xfe\n", 2, "bytes that are not UTF-8", "save the file as UTF-8"),
    ("näme: x\n".encode("utf-16"), 1, "bytes that are not UTF-8", "save the file as UTF-8"),
    (b"a: 1\nb: \x00\n", 2, "text that is not YAML", r"the character '\x00' may not stand in YAML"),
    (b"a:\n\tb: 1\n", 2, "text that is not YAML",
     r"found character '\t' that cannot start any token: indent with spaces"),
    (b"a: [1, 2\nb: 3\n", 2, "text that is not YAML", "expected ',' or ']', but got ':'"),
    (b"a: 1\n---\nb: 2\n", 2, "text that is not YAML", "but found another document"),
    (b"? [a, b]\n: 1\n", 1, "text that is not YAML", "a key is a word, not a list or a mapping"),
    (b"a: !!python/object/apply:os.system [ls]\n", 1, "text that is not YAML",
     "tags are not for specs: quotes make text of a value"),
    (b"a: &x [1]\nb: *x\n", 2, "text that is not YAML", "*x is an alias: write out what it stands for"),
    (b"a: &x\n  - *x\n", 2, "text that is not YAML", "*x is an alias: write out what it stands for"),
])  # fmt: skip
def test_a_file_that_is_no_mapping_is_refused(
    faults: Faults, text: bytes, line: int | None, read: str, allowed: str
) -> None:
    assert faults(text) == (Fault(WHOLE, read, allowed, line),)


def test_every_key_that_is_there_twice_is_named_with_its_first_line(faults: Faults) -> None:
    text = "name: a\ndata:\n  label: x\n  label: y\ntargets:\n  - port: 1\n    port: 2\nname: b\n"
    assert faults(text) == (
        Fault("data.label", "this key a second time", "it is already in line 3", 4),
        Fault("targets[0].port", "this key a second time", "it is already in line 6", 7),
        Fault("name", "this key a second time", "it is already in line 1", 8),
    )


def test_an_alias_bomb_never_goes_off(faults: Faults) -> None:
    levels = "\n".join(f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]" for level in range(1, 10))
    (fault,) = faults(f"a0: &a0 [x, x]\n{levels}\n")
    assert "is an alias" in fault.allowed


@pytest.mark.parametrize("level", ["[", "{a: ", "- "])
def test_a_well_without_a_bottom_is_not_gone_down(faults: Faults, level: str) -> None:
    (fault,) = faults(level * 5000)
    assert fault.allowed == "it is nested deeper than 20 levels"


def test_a_file_of_another_kind_is_not_read_to_its_end(faults: Faults) -> None:
    (fault,) = faults("#" * (MAX_BYTES + 1))
    assert (fault.read, fault.allowed) == ("1,000,001 bytes", "a spec has at most 1,000,000")


def test_a_number_of_thousands_of_digits_is_none(faults: Faults, smallest: str) -> None:
    (fault,) = faults(f"{smallest}training: {{seed: {'9' * 5000}}}")
    assert (fault.path, fault.allowed) == ("training.seed", "a whole number")


@given(st.binary(max_size=120) | st.text(st.sampled_from("ab:-[]{}#&*!|>'\"%@`,? \n\t~"), max_size=60))
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_the_file_holds_the_answer_is_a_spec_or_its_faults(write: Write, text: bytes | str) -> None:
    with pytest.raises(InvalidSpec) as caught:  # noise is never a spec
        load_spec(write(text))
    assert caught.value.faults
