"""The key by which this machine's own programs ask its servers."""

from __future__ import annotations

import stat
import threading
from datetime import UTC, datetime

from everfresh.serving.access.keys import read_keys, revoke_key
from everfresh.serving.access.own_key import own_key
from everfresh.serving.access.ring import KeyRing
from everfresh.serving.access.roles import Role


def valid(keys_file):
    return [key.name for key in read_keys(keys_file) if key.state(datetime.now(UTC)) == "valid"]


def test_where_the_servers_ask_nobody_no_key_is_made(keys_file):
    assert own_key(keys_file, {}) is None
    assert list(keys_file.parent.iterdir()) == []


def test_where_they_ask_it_is_made_once_and_only_its_owner_can_read_it(keys_file, make_key):
    make_key("ann")
    first = own_key(keys_file, {})
    assert own_key(keys_file, {}) == first
    assert KeyRing(keys_file).holder(first).roles == frozenset(Role)
    assert stat.S_IMODE(keys_file.with_name("this-machine.key").stat().st_mode) == 0o600
    assert valid(keys_file) == ["ann", "this-machine"]


def test_where_only_tokens_are_accepted_there_is_one_as_well(keys_file):
    assert own_key(keys_file, {"EVERFRESH_OIDC_ISSUER": "https://login.example.org/"}) is not None


def test_one_that_was_revoked_lost_or_damaged_is_replaced_and_not_left_valid(keys_file, make_key):
    make_key("ann")
    file = keys_file.with_name("this-machine.key")
    first = own_key(keys_file, {})
    revoke_key(keys_file, first.partition(".")[0], now=datetime.now(UTC))
    seen = {first, own_key(keys_file, {})}
    file.unlink()
    seen.add(own_key(keys_file, {}))
    file.write_bytes(b"\xff")
    seen.add(own_key(keys_file, {}))
    assert len(seen) == 4
    assert valid(keys_file) == ["ann", "this-machine"]


def test_several_programs_that_begin_at_once_have_the_same_key(keys_file, make_key):
    make_key("ann")
    found = []
    threads = [threading.Thread(target=lambda: found.append(own_key(keys_file, {}))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1
