"""What a server on this machine says about one of its models: versions and who gets them, and what it counted."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from everfresh.errors import EverfreshError
from everfresh.serving.client import Endpoint
from everfresh.serving.metrics.counting import INFERENCES, LOG
from everfresh.serving.presence import started_at
from everfresh.targets.local import LocalTarget
from everfresh.targets.protocol import Target

# Whoever asks for a status wants it now.
ASK_SECONDS = 2.0

_SAMPLE = re.compile(r"(\w+)\{(.*)\} (\S+)")
_LABEL = re.compile(r'(\w+)="([^"]*)"')
_PATHS = {"onnx": "compiled", "sklearn": "stored pipeline"}


@dataclass(frozen=True)
class ServedVersion:
    """A version that a server has loaded.

    Attributes:
        version: its number.
        share: what it gets of the traffic that asks for no version, in percent.
        is_default: whether it answers where nothing else is said.
        is_shadow: whether it answers a copy of the traffic, unseen.
        aliases: its other names.
        path: onnx where it is compiled, sklearn where the stored pipeline answers.
        path_reason: why it is that path.
        age_seconds: since it was packed.
        trained_through: the time of the newest row that it was trained on, ISO 8601; None where that is not known.
    """

    version: int
    share: float
    is_default: bool
    is_shadow: bool
    aliases: tuple[str, ...]
    path: str
    path_reason: str
    age_seconds: float
    trained_through: str | None

    def __str__(self) -> str:
        """One line for people."""
        role = "default" if self.is_default else "shadow" if self.is_shadow else "on request" if not self.share else ""
        share = f"{self.share:g} % of the traffic" if self.share else ""
        facts = (
            role,
            share,
            *self.aliases,
            f"packed {_ago(self.age_seconds)} ago",
            f"data through {self.trained_through[:10]}" if self.trained_through else "",
        )
        reason = " ".join(self.path_reason.split())
        path = _PATHS.get(self.path, self.path)
        return f"{', '.join(filter(None, facts))}; {path}{f': {reason}' if reason else ''}"


@dataclass(frozen=True)
class ServingStatus:
    """What a server says about one of its models.

    Attributes:
        versions: the default one first.
        requests: how many the model answered since the server started.
        log_rows, dropped_rows: what the server wrote to the inference log since then, and what it lost of it; of all
            its models together.
        up_seconds: how long ago the server started; None where that is not known.
    """

    versions: tuple[ServedVersion, ...]
    requests: int
    log_rows: int
    dropped_rows: int
    up_seconds: float | None

    def lines(self) -> Mapping[str, str]:
        """For people, a line each."""
        versions = {f"v{served.version}": str(served) for served in self.versions}
        since = f" in {_ago(self.up_seconds)}" if self.up_seconds is not None else ""
        lost = f"{self.dropped_rows:,} DROPPED" if self.dropped_rows else "none dropped"
        asked = f"{self.requests:,} requests{since}; {self.log_rows:,} rows in the inference log, {lost}"
        return {**versions, "asked": asked}


def serving_status(target: Target, model: str, now: datetime) -> ServingStatus | None:
    """What the server of a local target says about a model; None where it does not serve it, or is no local one."""
    if not isinstance(target, LocalTarget):
        return None
    try:
        with target.endpoint(ASK_SECONDS) as endpoint:
            return _asked(endpoint, model, now, started_at(target.root))
    except EverfreshError:
        return None


def _asked(endpoint: Endpoint, model: str, now: datetime, started: float | None) -> ServingStatus:
    default = endpoint.describe(model)
    others = [endpoint.describe(model, int(version)) for version in default["versions"][1:]]
    counts = list(_counts(endpoint.metrics()))
    log = {labels["outcome"]: int(value) for name, labels, value in counts if name == LOG.name}
    answered = [value for name, labels, value in counts if name == INFERENCES.name and labels["model"] == model]
    return ServingStatus(
        versions=tuple(_version(described, default, now) for described in (default, *others)),
        requests=int(sum(answered)),
        log_rows=log.get("written", 0),
        dropped_rows=log.get("dropped", 0),
        up_seconds=now.timestamp() - started if started is not None else None,
    )


def _version(described: Mapping[str, Any], default: Mapping[str, Any], now: datetime) -> ServedVersion:
    # Shares and aliases are those of one moment: what the first answer says.
    facts, model = described["parameters"], default["parameters"]
    version, traffic = int(facts["version"]), model["traffic"]
    is_default = version == int(model["version"])
    share = 100 - sum(traffic.values()) if is_default else traffic.get(str(version), 0)
    return ServedVersion(
        version=version,
        share=float(share),
        is_default=is_default,
        is_shadow=version == model["shadow"],
        aliases=tuple(alias for alias, number in model["aliases"].items() if number == version),
        path=facts["path"],
        path_reason=facts["path_reason"],
        age_seconds=(now - datetime.fromisoformat(facts["created_at"])).total_seconds(),
        trained_through=facts["trained_through"],
    )


def _counts(text: str) -> Iterator[tuple[str, dict[str, str], float]]:
    for line in text.splitlines():
        found = _SAMPLE.fullmatch(line)
        if found is not None:
            yield found[1], dict(_LABEL.findall(found[2])), float(found[3])


def _ago(seconds: float) -> str:
    """A time in the unit that people would use.

    >>> _ago(40), _ago(150), _ago(7 * 3600), _ago(5 * 86_400)
    ('40 s', '2 min', '7 h', '5 days')
    """
    whole = timedelta(seconds=max(0.0, seconds))
    if whole >= timedelta(days=2):
        return f"{whole.days} days"
    for unit, size in (("h", 3600), ("min", 60)):
        if whole.total_seconds() >= 2 * size:
            return f"{int(whole.total_seconds() // size)} {unit}"
    return f"{int(whole.total_seconds())} s"
