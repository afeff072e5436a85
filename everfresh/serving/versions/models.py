"""The models that a worker serves: loaded and proven beside the old ones, then swapped in by one assignment."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Literal, NamedTuple

from everfresh.errors import AnswerDiffers, BundleDamaged
from everfresh.packaging.batch import Batch
from everfresh.packaging.bundle import Bundle, open_bundle
from everfresh.packaging.golden import read_golden
from everfresh.packaging.manifest import Manifest
from everfresh.packaging.scorer import Scorer, open_scorer
from everfresh.serving.questions.decoding import RowReader
from everfresh.serving.refusals import NotReady, UnknownModel, UnknownVersion, WhichModel
from everfresh.serving.versions.desired import DesiredModel
from everfresh.serving.versions.residency import LeavingScorer, Residency
from everfresh.serving.versions.traffic import Split

GOLDEN_TOLERANCE = 1e-9
RECENT_BATCHES = 8
RECENT_ROWS = 256


Variant = Literal["default", "split", "requested", "shadow"]
"""How a version came to answer: it is the default, the traffic split gave it the request, the request named it, or it
answered a copy of the request whose answer nobody saw."""


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """One version of a model, ready to answer."""

    name: str
    version: int
    manifest: Manifest
    scorer: Scorer
    reader: RowReader
    recent: deque[Batch] = field(default_factory=lambda: deque(maxlen=RECENT_BATCHES))

    @cached_property
    def told(self) -> tuple[tuple[str, str], ...]:
        """What the headers of an answer say about it."""
        return (("x-model", self.name), ("x-model-version", str(self.version)))

    def keep_recent(self, batch: Batch) -> None:
        """Remember rows that were asked just now: the next version is warmed with them."""
        if batch.rows <= RECENT_ROWS:
            self.recent.append(batch)

    @property
    def is_quick(self) -> bool:
        """Whether a few rows are answered faster than a thread is woken up."""
        has_left = isinstance(self.scorer, LeavingScorer) and not self.scorer.is_resident
        return self.scorer.path == "onnx" and not has_left


class Choice(NamedTuple):
    """The version that is to answer, and why that one."""

    model: LoadedModel
    variant: Variant = "default"
    shadow: LoadedModel | None = None


@dataclass(frozen=True, eq=False)
class ServedModel:
    """The versions of one model that answer now, and which of them answers whom.

    Attributes:
        default: the version that answers where nothing else is said.
        versions: every version that can be asked for.
        split: the versions that get a share of the traffic.
        shadow: the version that answers a copy of the traffic, unseen.
        aliases: other names of versions.
    """

    default: LoadedModel
    versions: Mapping[int, LoadedModel]
    split: Split
    shadow: LoadedModel | None = None
    aliases: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, desired: DesiredModel, loaded: Mapping[int, LoadedModel]) -> ServedModel:
        """What can be served of what is asked for: of the versions beside the default one, those that are loaded."""
        default = loaded[desired.version]
        return cls(
            default=default,
            versions={version: loaded[version] for version in desired.versions if version in loaded},
            split=Split(default.name, {v: share for v, share in desired.traffic.items() if v in loaded}),
            shadow=loaded.get(desired.shadow) if desired.shadow is not None else None,
            aliases={alias: version for alias, version in desired.aliases.items() if version in loaded},
        )

    def choose(self, version: str | None, key: str | None) -> Choice:
        """The version for a request.

        Args:
            version: the number or the alias that the request asks for, if it does.
            key: what must always come to the same version, such as a user.

        Raises:
            UnknownVersion: no such version answers.
        """
        if version is not None:
            return Choice(self.named(version), "requested")
        number = self.split.version(key)
        if number is None:
            return Choice(self.default, "default", self.shadow)
        return Choice(self.versions[number], "split", self.shadow)

    def named(self, version: str) -> LoadedModel:
        """The version of that number or alias.

        Raises:
            UnknownVersion: no such version answers.
        """
        number = self.aliases.get(version)
        if number is None and version.isascii() and version.isdigit():
            number = int(version)
        found = self.versions.get(number) if number is not None else None
        if found is None:
            raise UnknownVersion(self.default.name, version, sorted(self.versions), sorted(self.aliases))
        return found


class ModelTable:
    """The models that answer now.

    Readers take the whole table by one reference, so a request sees one state from its start to its end; an
    old version goes when the last request that took it is answered. Before the table is complete for the first time,
    a model that is not in it may be on its way.
    """

    def __init__(self) -> None:
        self.current: Mapping[str, ServedModel] = MappingProxyType({})
        self.is_complete = False

    def swap_in(self, served: ServedModel) -> None:
        """Let these versions answer every request that starts from now on."""
        self.current = MappingProxyType({**self.current, served.default.name: served})

    def take_out(self, name: str) -> None:
        """Answer no more requests for a model."""
        self.current = MappingProxyType({other: model for other, model in self.current.items() if other != name})

    def versions(self) -> dict[str, int]:
        """The default version of each model."""
        return {name: served.default.version for name, served in self.current.items()}

    def loaded(self) -> dict[str, list[int]]:
        """All versions of each model."""
        return {name: sorted(served.versions) for name, served in self.current.items()}

    def served(self, name: str) -> ServedModel:
        """The model of that name.

        Raises:
            NotReady: it is not served, and may be soon.
            UnknownModel: it is not served.
        """
        served = self.current.get(name)
        if served is None and not self.is_complete:
            raise NotReady
        if served is None:
            raise UnknownModel(name, sorted(self.current))
        return served

    def find(self, name: str, version: str | None = None) -> LoadedModel:
        """The default version of a model, or the one of that number or alias.

        Raises:
            NotReady: it is not served, and may be soon.
            UnknownModel: it is not served.
            UnknownVersion: it is not served in that version.
        """
        served = self.served(name)
        return served.default if version is None else served.named(version)

    def only(self) -> str:
        """The name of the one model of a server that has one, for protocols that name none.

        Raises:
            NotReady: there is none.
            WhichModel: there are several.
        """
        names = list(self.current)
        if not names:
            raise NotReady
        if len(names) > 1:
            raise WhichModel(sorted(names))
        return names[0]


def load_model(
    directory: Path,
    name: str,
    version: int,
    *,
    before: LoadedModel | None = None,
    residency: Residency | None = None,
) -> LoadedModel:
    """A version that was verified, loaded, asked its golden rows, and warmed with what `before` was asked last.

    Raises:
        BundleMissing: there is no bundle.
        BundleDamaged: it is not the bundle that was written, or not that version of that model.
        TypesRefused: it holds a pipeline of types that nobody reviewed.
        AnswerDiffers: it does not answer its golden rows as it did when it was packed.
    """
    bundle = open_bundle(directory)
    manifest = bundle.manifest
    if (manifest.name, manifest.version) != (name, version):
        said = f"says {manifest.name!r} version {manifest.version}, where {name!r} version {version} should be"
        raise BundleDamaged(directory, "bundle.json", said)
    scorer = _scorer(bundle, residency)
    golden = read_golden(bundle)
    difference = golden.difference(scorer.score(golden.batch))
    if difference > GOLDEN_TOLERANCE:
        raise AnswerDiffers(name, version, difference, GOLDEN_TOLERANCE)
    if before is not None and before.manifest.columns == manifest.columns:
        for batch in list(before.recent):
            scorer.score(batch)
    return LoadedModel(name, version, manifest, scorer, RowReader(manifest))


def _scorer(bundle: Bundle, residency: Residency | None) -> Scorer:
    if residency is None:
        return open_scorer(bundle)
    manifest = bundle.manifest
    weight = sum(file.stat().st_size for file in bundle.directory.iterdir())
    name = f"{manifest.name} v{manifest.version}"
    return residency.hold(name, manifest.path, weight, lambda: open_scorer(bundle))
