"""What of the traffic is kept, for how long, and in which form: the spec's `inference_log`, as the server has it."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from everfresh.data.columns import plain_text

if TYPE_CHECKING:
    from everfresh.spec.inference_log import InferenceLogSpec

Redaction = Literal["drop", "hash"]

KEY_VARIABLE = "EVERFRESH_INFERENCE_LOG_KEY"

_KEYS = frozenset({"keep_hours", "sample", "redact"})
_HASH_BYTES = 16
_SHARES = 2**64


@dataclass(frozen=True)
class LogPolicy:
    """What the inference log of one model keeps.

    Attributes:
        keep: how long rows and labels stay.
        sample: the share of the requests that is kept, each with all of its rows.
        redact: features that never reach the disk as they are: left out, or hashed with a key.
    """

    keep: timedelta = timedelta(days=365)
    sample: float = 1.0
    redact: Mapping[str, Redaction] = field(default_factory=dict)

    @property
    def dropped(self) -> frozenset[str]:
        """The features that are left out."""
        return frozenset(name for name, how in self.redact.items() if how == "drop")

    @property
    def hashed(self) -> frozenset[str]:
        """The features that are hashed."""
        return frozenset(name for name, how in self.redact.items() if how == "hash")

    def takes(self, request_id: str) -> bool:
        """Whether a request is kept. It hangs on its id alone: every process decides alike, and so does a shadow's log.

        >>> [LogPolicy(sample=0.5).takes(request) for request in ("a", "b", "c", "d")]
        [True, False, True, False]
        """
        if self.sample >= 1:
            return True
        digest = hashlib.blake2b(request_id.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        return int.from_bytes(digest, "big") < self.sample * _SHARES

    def to_json(self) -> dict[str, Any]:
        """What `from_json` reads, with the keys that differ from the defaults."""
        content: dict[str, Any] = {}
        if self.keep != KEEP_ALL.keep:
            content["keep_hours"] = self.keep / timedelta(hours=1)
        if self.sample != 1:
            content["sample"] = self.sample
        if self.redact:
            content["redact"] = dict(self.redact)
        return content

    @classmethod
    def from_json(cls, content: Any) -> LogPolicy:
        """A policy as programs write it.

        Raises:
            ValueError: what is wrong with it, in words that can be shown to who wrote it.
        """
        if not isinstance(content, Mapping):
            raise ValueError(f"log is {content!r}, which is no object")
        if surplus := content.keys() - _KEYS:
            raise ValueError(f"log: {sorted(map(str, surplus))[0]!r} is none of {', '.join(sorted(_KEYS))}")
        redact = content.get("redact") or {}
        if not isinstance(redact, Mapping) or not all(how in ("drop", "hash") for how in redact.values()):
            raise ValueError(f"log: redact is {redact!r} and must give drop or hash for each column")
        hours = _number(content, "keep_hours", KEEP_ALL.keep / timedelta(hours=1))
        sample = _number(content, "sample", 1.0)
        if not 0 < sample <= 1:
            raise ValueError(f"log: sample is {sample!r} and must be above 0 and at most 1")
        if not 1 <= hours <= 24 * 36_500:
            raise ValueError(f"log: keep_hours is {hours!r} and must be at least 1 and at most a hundred years")
        return cls(keep=timedelta(hours=hours), sample=sample, redact=dict(redact))

    @classmethod
    def of(cls, section: InferenceLogSpec) -> LogPolicy:
        """The policy that a spec asks for."""
        return cls(keep=section.keep, sample=section.sample, redact=dict(section.redact))


KEEP_ALL = LogPolicy()


def hash_key(root: Path, environment: Mapping[str, str] = os.environ) -> bytes:
    """The key that values are hashed with: the environment's, else one that is made once and lies in `root`.

    Raises:
        OSError: it can be neither read nor written.
    """
    if given := environment.get(KEY_VARIABLE):
        return given.encode()
    file = root / ".hash-key"
    root.mkdir(parents=True, exist_ok=True)
    made = file.with_name(f".hash-key-{os.getpid()}-{secrets.token_hex(4)}")
    if not file.exists():
        made.touch(mode=0o600)
        made.write_text(secrets.token_hex(32), encoding="ascii")
        with suppress(FileExistsError):  # another worker was first, and its key counts
            file.hardlink_to(made)
        made.unlink()
    return file.read_bytes()


def hashed(values: Sequence[Any], key: bytes) -> list[str | None]:
    """Keyed hashes of values, in 32 hexadecimal digits: equal values have equal ones. A missing value stays missing.

    >>> a, b, c = hashed([5, "5", None], b"secret")
    >>> a == b, c
    (True, None)
    """
    known: dict[Any, str | None] = {None: None}
    for value in values:
        if value not in known:
            text = plain_text(value)
            known[value] = None if text is None else _hash(text, key)
    return [known[value] for value in values]


def _hash(text: str, key: bytes) -> str:
    return hmac.new(key, text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()[: 2 * _HASH_BYTES]


def _number(content: Mapping[str, Any], key: str, default: float) -> float:
    value = content.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        raise ValueError(f"log: {key} is {value!r}, which is no number")
    return value
