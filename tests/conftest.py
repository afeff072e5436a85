"""What the tests of several folders share."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from everfresh.settings import Settings


@pytest.fixture(scope="session")
def migrated_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow migrates a fresh database for seconds: once, and the tests take copies."""
    from everfresh.registry.store import Registry

    root = tmp_path_factory.mktemp("migrated")
    Registry(Settings.from_environment({"EVERFRESH_ROOT": str(root)}))
    return root / "mlruns" / "mlflow.db"


@pytest.fixture
def checkout(tmp_path: Path, migrated_database: Path) -> Settings:
    """The settings of an empty checkout: a migrated registry, a folder for specs, nothing else."""
    root = tmp_path / "checkout"
    (root / "projects").mkdir(parents=True)
    (root / "mlruns").mkdir()
    shutil.copy(migrated_database, root / "mlruns" / "mlflow.db")
    return Settings.from_environment({"EVERFRESH_ROOT": str(root)})


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[None]:
    """A Prefect server for this session, over a database that is thrown away; it takes half a minute to start."""
    from prefect.settings import PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW, temporary_settings
    from prefect.testing.utilities import prefect_test_harness

    # A task outside of a flow has nobody to send its lines to.
    quiet = temporary_settings({PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW: "ignore"})
    with prefect_test_harness(server_startup_timeout=240), quiet:
        yield
