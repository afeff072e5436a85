"""What a turn of the loop works with: the project, the registry, the targets, the folders."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from everfresh.packaging.bundle import Bundle, open_bundle
from everfresh.registry.store import Registry
from everfresh.registry.versions import ModelVersion
from everfresh.settings import Settings
from everfresh.spec.loading import Project, load_project
from everfresh.spec.project import ProjectSpec
from everfresh.targets.choose import targets_of
from everfresh.targets.protocol import Target


@dataclass(frozen=True)
class Workspace:
    """One project on this machine, its spec read and its registry reached."""

    project: Project
    settings: Settings
    registry: Registry
    targets: tuple[Target, ...]

    @property
    def name(self) -> str:
        """The project's name, which is the model's too."""
        return self.project.name

    @property
    def spec(self) -> ProjectSpec:
        """What the model is."""
        return self.project.spec

    def serving(self) -> int | None:
        """The champion's version, where there is one."""
        champion = self.registry.champion(self.name)
        return champion.version if champion else None

    def bundle(self, version: ModelVersion) -> Bundle:
        """The bundle of a version, fetched from the registry once and verified at every call.

        Raises:
            BundleDamaged: its bytes are not the ones that were registered.
        """
        directory = self.settings.home / "bundles" / version.name / str(version.version)
        if not (directory / "bundle.json").is_file():
            with _fetched(self.registry, version, directory.parent) as fetched:
                fetched.rename(directory)
        return open_bundle(directory)


def open_workspace(wanted: str, settings: Settings | None = None) -> Workspace:
    """The workspace of a project, by its name or by the path of its spec.

    Raises:
        SpecError: there is no such spec, or it has faults.
        RegistryUnreachable: MLflow does not answer.
    """
    settings = settings or Settings.from_environment()
    project = load_project(wanted, settings.projects)
    return Workspace(project, settings, Registry(settings), targets_of(project.spec, settings))


@contextmanager
def _fetched(registry: Registry, version: ModelVersion, beside: Path) -> Iterator[Path]:
    """The registered bundle in a temporary folder beside its place, so that what is there is always whole."""
    import tempfile

    beside.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=beside, prefix=".fetch-") as temporary:
        yield registry.download_bundle(version, Path(temporary))
