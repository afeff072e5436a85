from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from everfresh.serving.versions.traffic import Split

KEYS = [f"customer {number}" for number in range(20_000)]


def test_a_key_always_comes_to_the_same_version():
    split = Split("flights", {4: 30, 5: 30})
    assert all(split.version(key) == split.version(key) for key in KEYS[:200])


@pytest.mark.parametrize("share", [1, 5, 25, 50])
def test_a_version_gets_its_share_of_the_keys(share):
    found = sum(Split("flights", {4: share}).version(key) == 4 for key in KEYS) / len(KEYS)
    assert found == pytest.approx(share / 100, abs=0.01)


def test_requests_without_a_key_are_drawn_each_by_itself():
    split = Split("flights", {4: 50})
    found = sum(split.version(None) == 4 for _ in range(4000)) / 4000
    assert found == pytest.approx(0.5, abs=0.05)


@given(st.floats(0, 100), st.floats(0, 100), st.text(min_size=1))
def test_a_key_that_has_the_new_version_keeps_it_while_its_share_grows(one, other, key):
    smaller, larger = sorted((one, other))
    if Split("flights", {4: smaller}).version(key) == 4:
        assert Split("flights", {4: larger}).version(key) == 4


def test_two_models_do_not_split_their_keys_alike():
    chosen = {name: {key for key in KEYS if Split(name, {2: 50}).version(key)} for name in ("flights", "trains")}
    both = len(chosen["flights"] & chosen["trains"]) / len(KEYS)
    assert both == pytest.approx(0.25, abs=0.02)
