"""Changing what a running server serves: load, unload, traffic and shadow, by way of the desired state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from everfresh.serving.refusals import NoBundle, NotBrought, UnknownModel
from everfresh.serving.versions.desired import DesiredModel
from everfresh.serving.versions.state import (
    DesiredState,
    bundle_directory,
    read_desired,
    wait_until_served,
    want_model,
    want_removed,
)

PATIENCE = timedelta(seconds=30)


@dataclass(frozen=True)
class StoredVersion:
    """A bundle on the server's disk, and whether it is one of those that should serve."""

    name: str
    version: int
    is_wanted: bool


class Repository:
    """The models below the root of a server.

    Every change is a change of the desired state, so all workers follow it and a restart remembers it. A change that
    the workers cannot follow is taken back, and told with their reason.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def desired(self) -> DesiredState:
        """What should serve."""
        return read_desired(self._root)

    def stored(self) -> Sequence[StoredVersion]:
        """Every bundle that can be served, by name and version."""
        desired = self.desired().models
        found = sorted(
            (directory.parent.name, int(directory.name))
            for directory in (self._root / "models").glob("*/[0-9]*")
            if directory.name.isdigit()
        )
        return [
            StoredVersion(name, version, name in desired and version in desired[name].versions)
            for name, version in found
        ]

    def newest(self, name: str) -> int:
        """The highest version of a model that is there.

        Raises:
            UnknownModel: there is none.
        """
        versions = [stored.version for stored in self.stored() if stored.name == name]
        if not versions:
            raise UnknownModel(name, sorted({stored.name for stored in self.stored()}))
        return max(versions)

    def bring(self, name: str, model: DesiredModel) -> None:
        """Serve these versions of a model; when this returns, every worker does.

        Raises:
            NoBundle: a version is not on this server.
            NotBrought: the workers could not load them; what served before serves on.
        """
        for version in model.versions:
            if not bundle_directory(self._root, name, version).is_dir():
                there = [stored.version for stored in self.stored() if stored.name == name]
                raise NoBundle(name, version, there)
        before = self.desired().models.get(name)
        want_model(self._root, name, model)
        reached = wait_until_served(self._root, name, model.version, PATIENCE)
        if reached.served:
            return
        if before is None:
            want_removed(self._root, name)
        else:
            want_model(self._root, name, before)
        raise NotBrought(name, reached.reason)

    def take_out(self, name: str) -> None:
        """Serve a model no longer; its bundles stay.

        Raises:
            UnknownModel: it is not served.
        """
        desired = self.desired().models
        if name not in desired:
            raise UnknownModel(name, sorted(desired))
        want_removed(self._root, name)
