"""Keys that are presented to a server, whose file changes while it runs."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from everfresh.serving.access import files
from everfresh.serving.access.keys import add_key, revoke_key
from everfresh.serving.access.ring import KeyRing
from everfresh.serving.access.roles import Role


@pytest.fixture(autouse=True)
def look_always(monkeypatch):
    monkeypatch.setattr(files, "LOOK_EVERY_S", -1.0)


def test_a_key_is_its_holders(keys_file, make_key):
    presented = make_key("ann", Role.ADMIN)
    holder = KeyRing(keys_file).holder(presented)
    assert (holder.name, holder.roles) == ("ann", frozenset(Role))


def test_a_key_that_was_made_a_moment_ago_is_known_at_once(keys_file, make_key, monkeypatch):
    ring = KeyRing(keys_file)
    assert not ring.is_used
    monkeypatch.setattr(files, "LOOK_EVERY_S", 1000.0)
    assert ring.holder(make_key("ann")).name == "ann"
    assert ring.holder(make_key("bob")).name == "bob"


def test_a_revoked_key_is_refused_and_the_other_one_of_the_name_is_not(keys_file, make_key):
    old, new = make_key(), make_key()
    ring = KeyRing(keys_file)
    assert ring.holder(old) == ring.holder(new) != None  # noqa: E711 - all three at once
    revoke_key(keys_file, old.partition(".")[0], now=datetime.now(UTC))
    assert ring.holder(old) is None
    assert ring.holder(new).name == "ann"


def test_a_revocation_is_known_within_a_second_without_a_restart(keys_file, make_key, monkeypatch):
    monkeypatch.undo()
    presented = make_key()
    ring = KeyRing(keys_file)
    assert ring.holder(presented) is not None
    revoke_key(keys_file, presented.partition(".")[0], now=datetime.now(UTC))
    revoked_at = time.monotonic()
    while ring.holder(presented) is not None:
        assert time.monotonic() < revoked_at + 1.0
        time.sleep(0.01)


def test_a_key_ends_when_it_expires(keys_file, make_key):
    presented = make_key(lasts=timedelta(hours=1))
    now = [datetime.now(UTC).timestamp()]
    ring = KeyRing(keys_file, lambda: now[0])
    assert ring.holder(presented) is not None
    now[0] += 3600
    assert ring.holder(presented) is None


def test_nothing_but_the_whole_key_will_do(keys_file, make_key):
    presented, other = make_key("ann"), make_key("bob")
    ring = KeyRing(keys_file)
    kid, _, secret = presented.partition(".")
    wrong = [
        "",
        ".",
        kid,
        f"{kid}.",
        secret,
        f".{secret}",
        f"{kid}.{secret[:-1]}",
        f"{kid}.{secret}=",
        f"{kid}.{secret[:-1]}é",
        f"{kid}.{other.partition('.')[2]}",
        f"{kid.upper()}.{secret}",
        f"{kid}.{secret.swapcase()}",
        f" {presented}",
        f"{kid}.{'A' * 43}",
        f"ef_00000000.{secret}",
        f"{kid}.{'A' * 10_000_000}",
    ]
    assert [text for text in wrong if ring.holder(text) is not None] == []
    assert ring.holder(presented) is not None


def test_a_file_that_vanishes_opens_nothing(keys_file, make_key):
    presented = make_key()
    ring = KeyRing(keys_file)
    keys_file.unlink()
    assert ring.holder(presented) is None
    assert ring.is_used


@pytest.mark.parametrize("damage", [b"", b"{", b'{"keys": [{}]}'])
def test_a_file_that_is_damaged_later_changes_nothing_and_is_taken_again_once_mended(keys_file, make_key, damage):
    presented = make_key()
    ring = KeyRing(keys_file)
    good = keys_file.read_bytes()
    keys_file.write_bytes(damage)
    assert ring.holder(presented) is not None
    keys_file.write_bytes(good.replace(b"ann", b"bob"))
    assert ring.holder(presented).name == "bob"


def test_a_file_that_others_may_write_lets_nobody_new_in(keys_file, make_key):
    presented = make_key()
    ring = KeyRing(keys_file)
    later = make_key("eve")
    keys_file.chmod(0o666)
    assert ring.holder(later) is None
    assert ring.holder(presented) is not None


def test_a_ring_that_begins_with_a_damaged_file_knows_nobody_and_asks_all_the_same(keys_file):
    keys_file.write_bytes(b"{")
    ring = KeyRing(keys_file)
    assert ring.is_used
    assert ring.holder(f"ef_00000000.{'A' * 43}") is None


@settings(max_examples=60, deadline=None)
@given(st.one_of(st.text(max_size=80), st.from_regex(r"ef_[0-9a-f]{8}\.[A-Za-z0-9_-]{43}", fullmatch=True)))
def test_whatever_is_presented_nobody_is_found(tmp_path_factory, text):
    file = tmp_path_factory.getbasetemp() / "guessed.json"
    if not file.exists():
        add_key(file, "ann", [Role.PREDICT], now=datetime.now(UTC))
    assert KeyRing(file).holder(text) is None
