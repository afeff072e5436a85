"""The key by which the programs of this machine ask its servers, so that deploying needs nobody's key.

It lies in a file of its own, which only its owner can read: whoever can read it could write the servers' state as well.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from everfresh.serving.access.keys import add_to, locked, read_keys, write_keys, write_private
from everfresh.serving.access.roles import Role
from everfresh.serving.access.tokens import ISSUER

NAME = "this-machine"


def own_key(keys: Path, environment: Mapping[str, str] = os.environ) -> str | None:
    """The key to send, which is made where there is none; None where the servers of these keys ask nobody.

    Raises:
        KeysUnreadable: the file of the keys is not what it should be.
    """
    if not keys.exists() and not environment.get(ISSUER):
        return None
    file = keys.with_name("this-machine.key")
    now = datetime.now(UTC).replace(microsecond=0)
    if (kept := _kept(file, keys, now)) is not None:
        return kept
    with locked(keys):
        if (kept := _kept(file, keys, now)) is not None:  # somebody made it in between
            return kept
        # What has no file any more is of no use to us, and must be of none to whoever has it.
        former = [replace(k, revoked=now) if k.name == NAME and k.state(now) == "valid" else k for k in read_keys(keys)]
        write_keys(keys, former)
        presented = add_to(keys, NAME, [Role.ADMIN], now=now).presented
        write_private(file, f"{presented}\n")
    return presented


def _kept(file: Path, keys: Path, now: datetime) -> str | None:
    """The key in the file, if it is valid."""
    try:
        presented = file.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return None
    kid, _, secret = presented.partition(".")
    hashed = hashlib.sha256(secret.encode()).hexdigest()
    is_valid = any(key.kid == kid and key.sha256 == hashed and key.state(now) == "valid" for key in read_keys(keys))
    return presented if is_valid else None
