from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from everfresh.registry.lineage import Lineage
from everfresh.registry.store import Registry
from everfresh.settings import Settings


@pytest.fixture
def settings(tmp_path: Path, migrated_database: Path) -> Settings:
    root = tmp_path / "a checkout"  # with a space, as people have them
    (root / "mlruns").mkdir(parents=True)
    shutil.copy(migrated_database, root / "mlruns" / "mlflow.db")
    return Settings.from_environment({"EVERFRESH_ROOT": str(root)})


@pytest.fixture
def registry(settings: Settings) -> Registry:
    return Registry(settings)


@pytest.fixture
def lineage() -> Callable[[str], Lineage]:
    """The lineage of a version that was made from that table."""

    def made_from(data: str = "d1") -> Lineage:
        return Lineage(
            spec_hash="s1",
            data_fingerprint=data,
            code_revision="c1",
            parent_version=None,
            rows=1000,
            trained_from=datetime(2013, 1, 1, tzinfo=UTC),
            trained_through=datetime(2013, 2, 28, tzinfo=UTC),
        )

    return made_from
