"""What a server is asked to serve of one model: versions, who gets which, and under which other names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from everfresh.data.inference_log.policy import KEEP_ALL, LogPolicy

_KEYS = frozenset({"version", "traffic", "shadow", "loaded", "aliases", "log"})


@dataclass(frozen=True)
class DesiredModel:
    """The versions of one model, and the traffic of each.

    Attributes:
        version: what answers where nothing else is said.
        traffic: other versions, and the percentage of the requests that each gets.
        shadow: the version that answers a copy of the requests, unseen.
        loaded: versions that answer only those who ask for them.
        aliases: other names of versions, such as `champion`.
        log: what the inference log keeps of the requests.
    """

    version: int
    traffic: Mapping[int, float] = field(default_factory=dict)
    shadow: int | None = None
    loaded: tuple[int, ...] = ()
    aliases: Mapping[str, int] = field(default_factory=dict)
    log: LogPolicy = KEEP_ALL

    @property
    def versions(self) -> tuple[int, ...]:
        """Every version that must be loaded; the default one first, for it is the one that most wait for."""
        shadow = () if self.shadow is None else (self.shadow,)
        return tuple(dict.fromkeys((self.version, *self.traffic, *shadow, *self.loaded, *self.aliases.values())))

    def to_json(self) -> dict[str, Any]:
        """What `from_json` reads; keys that say nothing are left out."""
        content: dict[str, Any] = {"version": self.version}
        if self.traffic:
            content["traffic"] = {str(version): share for version, share in self.traffic.items()}
        if self.shadow is not None:
            content["shadow"] = self.shadow
        if self.loaded:
            content["loaded"] = list(self.loaded)
        if self.aliases:
            content["aliases"] = dict(self.aliases)
        if log := self.log.to_json():
            content["log"] = log
        return content

    @classmethod
    def from_json(cls, content: Any) -> DesiredModel:
        """A desired model as people and programs write it.

        Raises:
            ValueError: what is wrong with it, in words that can be shown to who wrote it.
        """
        if not isinstance(content, Mapping):
            raise ValueError(f"{content!r} is no object with the key version")
        if surplus := content.keys() - _KEYS:
            raise ValueError(f"{sorted(surplus)[0]!r} is none of {', '.join(sorted(_KEYS))}")
        if "version" not in content:
            raise ValueError("the key version is missing")
        traffic = {_version_of(text): _share(share) for text, share in _mapping(content, "traffic").items()}
        version = _version(content["version"])
        if version in traffic:
            raise ValueError(f"version {version} is the default, which gets what traffic leaves over")
        if sum(traffic.values()) > 100:
            raise ValueError(f"the shares of the traffic add up to {sum(traffic.values()):g} %")
        loaded = content.get("loaded", ())
        if not isinstance(loaded, list | tuple):
            raise ValueError(f"loaded is {loaded!r}, which is no list of versions")
        shadow = content.get("shadow")
        return cls(
            version=version,
            traffic=traffic,
            shadow=None if shadow is None else _version(shadow),
            loaded=tuple(map(_version, loaded)),
            aliases={_alias(name): _version(number) for name, number in _mapping(content, "aliases").items()},
            log=LogPolicy.from_json(content.get("log") or {}),
        )


def _mapping(content: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = content.get(key) or {}
    if not isinstance(value, Mapping):
        raise ValueError(f"{key} is {value!r}, which is no object")
    return value


def _version(value: Any) -> int:
    if type(value) is not int or value < 1:
        raise ValueError(f"{value!r} is not a version")
    return value


def _version_of(text: Any) -> int:
    if not str(text).isascii() or not str(text).isdigit():
        raise ValueError(f"{text!r} is not a version")
    return _version(int(text))


def _share(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 100:
        raise ValueError(f"{value!r} is not a share in percent")
    return value


def _alias(name: Any) -> str:
    if not isinstance(name, str) or not name.replace("-", "").replace("_", "").isalnum() or name.isdigit():
        raise ValueError(f"{name!r} is no name for an alias")
    return name
