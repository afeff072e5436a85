"""The public keys that tokens are checked with: from a file, or from the address where their issuer shows them.

Each key is used with one algorithm, which follows from what the key is. What a token says of its algorithm, or of where
its key might be, is never obeyed.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from everfresh.errors import TokenKeysUnreadable
from everfresh.serving.access.files import WatchedFile, read_guarded

if TYPE_CHECKING:
    from jwt import PyJWK

logger = logging.getLogger(__name__)

LEAST_RSA_BITS = 2048
WAIT_SECONDS = 2.0
# An unknown key is looked for at most so often, whoever sends how many tokens that name one.
FETCH_EVERY_S = 60.0
# Issuers show a new key before they use it: with this, it is mostly known when the first token comes.
RENEW_AFTER_S = 600.0

# By what a key is (type, curve): the one algorithm that it is used with, and its public parts.
_USED = {("RSA", None): ("RS256", ("kty", "n", "e")), ("EC", "P-256"): ("ES256", ("kty", "crv", "x", "y"))}


class KeySet(Protocol):
    """Finds the key that a token names. It never waits."""

    def start(self) -> None:
        """Get ready, in the process that asks."""

    def find(self, kid: str) -> PyJWK | None:
        """The key, or None where it is not known (yet)."""


class KeysInFile:
    """A JWKS file, which is read again when it has changed."""

    def __init__(self, file: Path) -> None:
        empty: dict[str, PyJWK] = {}
        self._file: WatchedFile[dict[str, PyJWK]] = WatchedFile(file, signing_keys, empty)

    def start(self) -> None:
        """Nothing to do: it was read when this was made."""

    def find(self, kid: str) -> PyJWK | None:
        """The key, or None."""
        self._file.look_sometimes()
        return self._file.content.get(kid)


class KeysAtUrl:
    """A JWKS behind an https address, fetched in a thread. Where that fails, the keys that were fetched last stay."""

    def __init__(self, url: str, *, every_s: float = FETCH_EVERY_S, renew_after_s: float = RENEW_AFTER_S) -> None:
        self._url = url
        self._every_s = every_s
        self._renew_after_s = renew_after_s
        self._keys: Mapping[str, PyJWK] = {}
        self._lock = threading.Lock()
        self._tried_at: float | None = None

    def start(self) -> None:
        """Fetch them, and wait a moment: a worker should know them with its first request."""
        thread = self._fetch_soon()
        if thread is not None:
            thread.join(WAIT_SECONDS)

    def find(self, kid: str) -> PyJWK | None:
        """The key, or None; where it is not known or the keys are old, they are fetched for the next one who asks."""
        key = self._keys.get(kid)
        if key is None or self._age_s() > self._renew_after_s:
            self._fetch_soon()
        return key

    def _age_s(self) -> float:
        return time.monotonic() - self._tried_at if self._tried_at is not None else float("inf")

    def _fetch_soon(self) -> threading.Thread | None:
        with self._lock:
            if self._age_s() < self._every_s:
                return None
            self._tried_at = time.monotonic()
        thread = threading.Thread(target=self._fetch, name="token-keys", daemon=True)
        thread.start()
        return thread

    def _fetch(self) -> None:
        # Imported here: most servers ask nobody for keys, and it is not small.
        from everfresh.serving.access.fetching import fetched

        try:
            self._keys = signing_keys(fetched(self._url))
        except (OSError, ValueError) as error:
            logger.error("The token keys at %s were not fetched, and those known stay: %s", self._url, error)
        else:
            logger.info("Fetched %s token keys from %s", len(self._keys), self._url)


def key_set(where: str) -> KeySet:
    """The keys at an https address, or in a file.

    Raises:
        TokenKeysUnreadable: the file has none that could be used. An address is not asked: it may answer later.
    """
    if where.startswith("https://"):
        return KeysAtUrl(where)
    try:
        signing_keys(read_guarded(Path(where)))
    except (OSError, ValueError) as error:
        raise TokenKeysUnreadable(where, str(error)) from error
    return KeysInFile(Path(where))


def signing_keys(content: bytes) -> dict[str, PyJWK]:
    """The keys of a JWKS that may sign tokens here, by kid; every other key is passed over.

    Raises:
        ValueError: it is no JWKS, or has none.
    """
    try:
        entries = json.loads(content)["keys"]
        found = [(entry["kid"], _key(entry)) for entry in entries if isinstance(entry.get("kid"), str)]
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"it is no JWKS ({type(error).__name__})") from error
    # Of two with one kid, the first: a later one cannot take its place.
    keys = {kid: key for kid, key in reversed(found) if key is not None}
    if not keys:
        raise ValueError("it has no RSA key of 2048 bits and no P-256 key that may sign")
    return keys


def _key(entry: Mapping[str, Any]) -> PyJWK | None:
    """A key with the one algorithm that it is for; None where it may not sign tokens here."""
    from jwt import PyJWK
    from jwt.exceptions import PyJWTError

    kind = (entry.get("kty"), entry.get("crv"))
    if kind not in _USED:
        return None
    algorithm, parts = _USED[kind]
    if entry.get("use", "sig") != "sig" or entry.get("alg", algorithm) != algorithm:
        return None
    if "verify" not in entry.get("key_ops", ["verify"]):
        return None
    try:
        # Nothing but the public parts: a key that was shown by mistake is not kept.
        key = PyJWK({part: entry[part] for part in parts}, algorithm=algorithm)
    except (PyJWTError, ValueError, TypeError, KeyError):
        return None
    return None if algorithm == "RS256" and key.key.key_size < LEAST_RSA_BITS else key
