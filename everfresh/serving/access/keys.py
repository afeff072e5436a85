"""API keys: what a file of them says, and how one is made and revoked.

A key is `kid.secret`. The secret has 256 random bits, so one round of SHA-256 hides it, and only that is stored:
whoever reads the file can use none of the keys. A name has at most two keys that are valid at a time, so that a new one
can be given out before the old one is revoked. What was revoked or has expired stays in the file, for reviews.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from everfresh.errors import KeysUnreadable, TooManyKeys, UnknownKey
from everfresh.serving.access.files import read_guarded
from everfresh.serving.access.roles import Role

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
# What a key looks like; the beginning lets scanners find one that was committed.
_KID = re.compile(r"ef_[0-9a-f]{8}")
SECRET_LENGTH = 43
MOST_LIVE = 2


@dataclass(frozen=True)
class Key:
    """What is known of a key: everything but its secret. Times are in UTC."""

    kid: str
    name: str
    roles: frozenset[Role]
    sha256: str
    created: datetime
    expires: datetime | None = None
    revoked: datetime | None = None

    def state(self, now: datetime) -> str:
        """One of `valid`, `revoked` and `expired`."""
        if self.revoked is not None:
            return "revoked"
        return "expired" if self.expires is not None and now >= self.expires else "valid"

    def to_json(self) -> dict[str, Any]:
        """As it stands in the file."""
        return {
            "kid": self.kid,
            "name": self.name,
            "roles": sorted(self.roles),
            "sha256": self.sha256,
            "created": self.created.isoformat(),
            "expires": self.expires.isoformat() if self.expires else None,
            "revoked": self.revoked.isoformat() if self.revoked else None,
        }


@dataclass(frozen=True)
class NewKey:
    """A key that was just made; `presented` is what its holder sends, and is kept nowhere."""

    key: Key
    presented: str = field(repr=False)


def read_keys(file: Path) -> tuple[Key, ...]:
    """All keys of a file, in the order in which they were made; none where there is no file.

    Raises:
        KeysUnreadable: it is not what `add_key` writes, or others may write it.
    """
    try:
        return parse_keys(read_guarded(file))
    except FileNotFoundError:
        return ()
    except (OSError, ValueError) as error:
        raise KeysUnreadable(file, str(error)) from error


def parse_keys(content: bytes) -> tuple[Key, ...]:
    """The keys that the bytes of a file hold.

    Raises:
        ValueError: they are not what `add_key` writes. A file is taken as a whole or not at all.
    """
    try:
        keys = tuple(_key(**entry) for entry in json.loads(content)["keys"])
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"it is not a list of keys ({type(error).__name__}: {error})") from error
    if len({key.kid for key in keys}) < len(keys):
        raise ValueError("two keys have the same kid")
    return keys


def add_key(file: Path, name: str, roles: Sequence[Role], *, now: datetime, lasts: timedelta | None = None) -> NewKey:
    """Make a key.

    Raises:
        TooManyKeys: the name has two valid keys already.
        KeysUnreadable: the file is not what it should be.
    """
    with locked(file):
        return add_to(file, name, roles, now=now, lasts=lasts)


def add_to(file: Path, name: str, roles: Sequence[Role], *, now: datetime, lasts: timedelta | None = None) -> NewKey:
    """The same, for whoever holds the lock of the file."""
    keys = read_keys(file)
    valid = [key.kid for key in keys if key.name == name and key.state(now) == "valid"]
    if len(valid) >= MOST_LIVE:
        raise TooManyKeys(name, valid)
    secret = secrets.token_urlsafe(32)
    key = Key(
        kid=f"ef_{secrets.token_hex(4)}",
        name=name,
        roles=frozenset(roles),
        sha256=hashlib.sha256(secret.encode()).hexdigest(),
        created=now,
        expires=now + lasts if lasts else None,
    )
    write_keys(file, (*keys, key))
    return NewKey(key, f"{key.kid}.{secret}")


def revoke_key(file: Path, kid: str, *, now: datetime) -> Key:
    """Let a key be valid no more; one that was revoked before stays as it is.

    Raises:
        UnknownKey: there is no such key.
        KeysUnreadable: the file is not what it should be.
    """
    with locked(file):
        keys = {key.kid: key for key in read_keys(file)}
        if kid not in keys:
            raise UnknownKey(kid, file)
        if keys[kid].revoked is None:
            keys[kid] = replace(keys[kid], revoked=now)
            write_keys(file, tuple(keys.values()))
    return keys[kid]


def _key(
    *,
    kid: str,
    name: str,
    roles: list[str],
    sha256: str,
    created: str,
    expires: str | None = None,
    revoked: str | None = None,
) -> Key:
    """A key of a file. A word that is not known is refused: left out, `expiers` would make a key that never ends."""
    if not (_KID.fullmatch(kid) and NAME.fullmatch(name) and re.fullmatch("[0-9a-f]{64}", sha256)):
        raise ValueError(f"the key {kid!r} has a kid, a name or a hash that is none")
    if not isinstance(roles, list):
        raise TypeError(f"the roles of {kid} are no list")
    return Key(kid, name, frozenset(map(Role, roles)), sha256, _moment(created), _maybe(expires), _maybe(revoked))


def _maybe(text: str | None) -> datetime | None:
    return None if text is None else _moment(text)


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"the time {text!r} has no time zone")
    return moment


def write_keys(file: Path, keys: Sequence[Key]) -> None:
    """Replace the file in one step; from its first byte on, nobody but the owner can read it."""
    text = json.dumps({"keys": [key.to_json() for key in keys]}, indent=2) + "\n"
    write_private(file.resolve(), text)  # a link stays one


def write_private(file: Path, text: str) -> None:
    """Replace a file, in one step, by one that only its owner can read."""
    temporary = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    try:
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:  # noqa: PTH123
            opened.write(text)
            opened.flush()
            os.fsync(opened.fileno())
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """One writer at a time: of two that read the same keys, the later would undo the earlier one's revocation."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        lock = file.with_name(f".{file.name}.lock").open("w")
    except OSError as error:
        raise KeysUnreadable(file, f"its folder cannot be written ({error.strerror})") from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
