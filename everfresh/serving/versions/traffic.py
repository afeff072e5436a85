"""Which version of a model answers a request: by name, by alias, or by the traffic split."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

_BUCKETS = 2**32


@dataclass(frozen=True)
class Split:
    """Shares of the traffic, in percent, that versions get instead of the default one.

    A key is always given to the same version. When a share grows, the keys that it had stay where they were, so that
    a user who was shown the new model is not sent back to the old one half-way through a canary.

    Args:
        salt: what keeps one model's split from repeating another's: the model's name.
        shares: version to percent; what is left of 100 belongs to the default version.
    """

    salt: str
    shares: Mapping[int, float]

    def version(self, key: str | None) -> int | None:
        """The version for a key, or for a draw of its own where there is none; None for the default version.

        >>> Split("flights", {4: 100}).version("customer 7")
        4
        >>> Split("flights", {4: 0}).version("customer 7") is None
        True
        """
        if not self.shares:
            return None
        place = 100 * (_bucket(self.salt, key) if key else secrets.randbelow(_BUCKETS)) / _BUCKETS
        for version, share in self.shares.items():
            place -= share
            if place < 0:
                return version
        return None


def _bucket(salt: str, key: str) -> int:
    digest = hashlib.blake2b(key.encode(errors="replace"), digest_size=4, key=salt.encode()[:64]).digest()
    return int.from_bytes(digest, "big")
