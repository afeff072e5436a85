"""The keys that are valid now, and whose a presented one is."""

from __future__ import annotations

import hashlib
import hmac
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from everfresh.serving.access.files import WatchedFile
from everfresh.serving.access.keys import SECRET_LENGTH, parse_keys
from everfresh.serving.access.roles import NOBODY, Principal, all_of


@dataclass(frozen=True)
class _Holder:
    """Whose a key is, and until when, in seconds since 1970."""

    sha256: bytes
    principal: Principal
    expires_at: float


# Compared with where there is no such key, so that a wrong kid takes as long as a wrong secret.
_NO_HOLDER = _Holder(bytes(32), NOBODY, -math.inf)


class KeyRing:
    """The keys of a file that may change at any time.

    Args:
        file: the file; it need not be there.
        now: the time, in seconds since 1970.
    """

    def __init__(self, file: Path, now: Callable[[], float] = time.time) -> None:
        self._file: WatchedFile[dict[str, _Holder]] = WatchedFile(file, _holders, {})
        self._now = now

    @property
    def is_used(self) -> bool:
        """Whether there is a file of keys, or was one since this process began."""
        self._file.look_sometimes()
        return self._file.was_there

    def holder(self, presented: str) -> Principal | None:
        """Whose key it is; None where it is not valid."""
        kid, _, secret = presented.partition(".")
        if len(secret) != SECRET_LENGTH or not secret.isascii():
            return None
        self._file.look_sometimes()
        if kid not in self._file.content:
            self._file.look()  # it may have been made a moment ago
        holder = self._file.content.get(kid, _NO_HOLDER)
        is_right = hmac.compare_digest(hashlib.sha256(secret.encode()).digest(), holder.sha256)
        return holder.principal if is_right and self._now() < holder.expires_at else None


def _holders(content: bytes) -> dict[str, _Holder]:
    now = datetime.now(UTC)
    return {
        key.kid: _Holder(
            bytes.fromhex(key.sha256),
            Principal(key.name, all_of(key.roles)),
            key.expires.timestamp() if key.expires else math.inf,
        )
        for key in parse_keys(content)
        if key.state(now) != "revoked"
    }
