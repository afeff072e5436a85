"""The file of the keys."""

from __future__ import annotations

import hashlib
import json
import stat
import threading
from datetime import UTC, datetime, timedelta

import pytest

from everfresh.errors import KeysUnreadable, TooManyKeys, UnknownKey
from everfresh.serving.access.keys import add_key, read_keys, revoke_key
from everfresh.serving.access.roles import Role

NOW = datetime(2026, 7, 1, tzinfo=UTC)


def add(file, name="ann", *, now=NOW, lasts=None):
    return add_key(file, name, [Role.PREDICT], now=now, lasts=lasts)


def test_what_is_stored_does_not_give_the_secret_back(keys_file):
    made = add(keys_file)
    kid, _, secret = made.presented.partition(".")

    assert secret not in keys_file.read_text()
    assert secret not in repr(made)
    assert json.loads(keys_file.read_text())["keys"] == [
        {
            "kid": kid,
            "name": "ann",
            "roles": ["predict"],
            "sha256": hashlib.sha256(secret.encode()).hexdigest(),
            "created": "2026-07-01T00:00:00+00:00",
            "expires": None,
            "revoked": None,
        }
    ]


def test_only_its_owner_can_read_the_file_whatever_it_was_before(keys_file):
    add(keys_file)
    keys_file.chmod(0o644)
    add(keys_file, "bob")
    assert stat.S_IMODE(keys_file.stat().st_mode) == 0o600
    assert [file.name for file in keys_file.parent.iterdir() if "lock" not in file.name] == ["keys.json"]


def test_a_link_to_the_file_stays_a_link(keys_file, tmp_path):
    add(keys_file)
    link = tmp_path / "link.json"
    link.symlink_to(keys_file)
    add(link, "bob")
    assert link.is_symlink()
    assert [key.name for key in read_keys(keys_file)] == ["ann", "bob"]


def test_rotating_takes_two_keys_and_a_third_is_refused(keys_file):
    first, second = add(keys_file), add(keys_file)
    with pytest.raises(TooManyKeys, match=f"'ann' has {first.key.kid} and {second.key.kid} already"):
        add(keys_file)
    revoke_key(keys_file, first.key.kid, now=NOW)
    add(keys_file)
    assert [key.state(NOW) for key in read_keys(keys_file)] == ["revoked", "valid", "valid"]


def test_an_expired_key_makes_room_and_is_still_told_of(keys_file):
    for _ in range(2):
        add(keys_file, lasts=timedelta(days=1))
    later = NOW + timedelta(days=1)
    add(keys_file, now=later)
    assert [key.state(later) for key in read_keys(keys_file)] == ["expired", "expired", "valid"]


def test_revoking_again_does_not_change_when_it_was_revoked(keys_file):
    kid = add(keys_file).key.kid
    first = revoke_key(keys_file, kid, now=NOW)
    assert revoke_key(keys_file, kid, now=NOW + timedelta(days=1)) == first
    with pytest.raises(UnknownKey, match="no key 'ef_0'"):
        revoke_key(keys_file, "ef_0", now=NOW)


def test_of_many_writers_none_undoes_another_one(keys_file):
    threads = [threading.Thread(target=add, args=(keys_file, f"n{number}")) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {key.name for key in read_keys(keys_file)} == {f"n{number}" for number in range(12)}


GOOD = {"kid": "ef_00000000", "name": "ann", "roles": ["predict"], "sha256": "0" * 64, "created": NOW.isoformat()}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[" * 100_000,
        b"null",
        b"[]",
        b'{"keys": 3}',
        b'{"keys": ["ef_00000000"]}',
        *(
            json.dumps({"keys": entries}).encode()
            for entries in (
                [GOOD, GOOD],
                [{**GOOD, "expiers": "2026-07-01T00:00:00+00:00"}],
                [{**GOOD, "roles": ["root"]}],
                [{**GOOD, "roles": "predict"}],
                [{**GOOD, "sha256": ""}],
                [{**GOOD, "sha256": 0}],
                [{**GOOD, "kid": "../x"}],
                [{**GOOD, "name": "a\nb"}],
                [{**GOOD, "expires": "2026-07-01"}],
                [{**GOOD, "expires": "soon"}],
                [{**GOOD, "expires": 0}],
            )
        ),
    ],
)
def test_a_file_that_is_not_wholly_understood_is_refused(keys_file, content):
    keys_file.write_bytes(content)
    keys_file.chmod(0o600)
    with pytest.raises(KeysUnreadable, match="cannot be used"):
        read_keys(keys_file)
    with pytest.raises(KeysUnreadable):
        add(keys_file, "bob")
    assert keys_file.read_bytes() == content


@pytest.mark.parametrize("mode", [0o620, 0o602])
def test_a_file_that_others_may_write_is_refused(keys_file, mode):
    add(keys_file)
    keys_file.chmod(mode)
    with pytest.raises(KeysUnreadable, match=f"chmod go-w {keys_file}"):
        read_keys(keys_file)


def test_a_folder_that_cannot_be_written_is_a_sentence(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(KeysUnreadable, match="its folder cannot be written"):
        add(tmp_path / "file" / "keys.json")
