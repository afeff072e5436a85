"""The models that a worker serves: loaded and proven beside the old ones, then swapped in by one assignment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from everfresh.errors import AnswerDiffers, BundleDamaged
from everfresh.packaging.bundle import open_bundle
from everfresh.packaging.golden import read_golden
from everfresh.packaging.manifest import Manifest
from everfresh.packaging.scorer import Scorer, open_scorer
from everfresh.serving.decoding import RowReader
from everfresh.serving.refusals import NotReady, UnknownModel, UnknownVersion, WhichModel

GOLDEN_TOLERANCE = 1e-9


@dataclass(frozen=True)
class LoadedModel:
    """One version of a model, ready to answer."""

    name: str
    version: int
    manifest: Manifest
    scorer: Scorer
    reader: RowReader

    @property
    def is_quick(self) -> bool:
        """Whether a few rows are answered faster than a thread is woken up."""
        return self.scorer.path == "onnx"


class ModelTable:
    """The models that answer now.

    Readers take the whole table by one reference, so a request sees one state from its start to its end; an
    old version goes when the last request that took it is answered. Before the table is complete for the first time,
    a model that is not in it may be on its way.
    """

    def __init__(self) -> None:
        self.current: Mapping[str, LoadedModel] = MappingProxyType({})
        self.is_complete = False

    def swap_in(self, model: LoadedModel) -> None:
        """Let `model` answer every request that starts from now on."""
        self.current = MappingProxyType({**self.current, model.name: model})

    def take_out(self, name: str) -> None:
        """Answer no more requests for a model."""
        self.current = MappingProxyType({other: model for other, model in self.current.items() if other != name})

    def versions(self) -> dict[str, int]:
        """The version of each model."""
        return {name: model.version for name, model in self.current.items()}

    def find(self, name: str, version: str | None = None) -> LoadedModel:
        """The model of that name.

        Raises:
            NotReady: it is not served, and may be soon.
            UnknownModel: it is not served.
            UnknownVersion: it is served in another version than the one that was asked for.
        """
        model = self.current.get(name)
        if model is None and not self.is_complete:
            raise NotReady
        if model is None:
            raise UnknownModel(name, sorted(self.current))
        if version is not None and version != str(model.version):
            raise UnknownVersion(name, version, model.version)
        return model

    def only(self) -> LoadedModel:
        """The one model of a server that has one, for protocols that name none.

        Raises:
            NotReady: there is none.
            WhichModel: there are several.
        """
        models = list(self.current.values())
        if not models:
            raise NotReady
        if len(models) > 1:
            raise WhichModel(sorted(self.current))
        return models[0]


def load_model(directory: Path, name: str, version: int) -> LoadedModel:
    """A version that was verified, loaded, warmed, and asked its golden rows.

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
    scorer = open_scorer(bundle)
    golden = read_golden(bundle)
    difference = golden.difference(scorer.score(golden.batch))
    if difference > GOLDEN_TOLERANCE:
        raise AnswerDiffers(name, version, difference, GOLDEN_TOLERANCE)
    return LoadedModel(name, version, manifest, scorer, RowReader(manifest))
