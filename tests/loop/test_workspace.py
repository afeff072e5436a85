import pytest

from everfresh.errors import BundleDamaged, BundleNotRegistered
from everfresh.loop.workspace import Workspace


def test_a_bundle_is_fetched_once_and_verified_at_every_call(workspace: Workspace) -> None:
    version = workspace.registry.version("rides", 2)
    directory = workspace.bundle(version).directory

    assert workspace.bundle(version).directory == directory
    (directory / "profile.json").write_text("{}")
    with pytest.raises(BundleDamaged, match=r"profile\.json holds other bytes"):
        workspace.bundle(version)


def test_a_fetch_that_fails_leaves_nothing_half(workspace: Workspace) -> None:
    version = workspace.registry.version("rides", 2)
    folder = workspace.settings.home / "bundles" / "rides"
    directory = workspace.bundle(version).directory
    directory.rename(directory.with_name("elsewhere"))
    nowhere = type(version)(**{**vars(version), "run_id": "0" * 32})

    with pytest.raises(BundleNotRegistered):
        workspace.bundle(nowhere)
    assert sorted(path.name for path in folder.iterdir()) == ["1", "elsewhere"]


def test_what_serves_is_the_champion(workspace: Workspace) -> None:
    assert workspace.serving() == 1
