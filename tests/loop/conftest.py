"""A project on which the loop has turned once: v1 is the champion, v2 waits, and each test has a copy of its own."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from threadpoolctl import threadpool_limits

from everfresh.loop.release import release, resume
from everfresh.loop.workspace import Workspace
from everfresh.settings import Settings
from everfresh.testing.projects import START, day, open_in_memory, rides, train, write_project

Make = Callable[..., Workspace]


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """Small fits are faster on one thread, and much faster where the other cores are busy."""
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="session", autouse=True)
def _nothing_is_set() -> Iterator[None]:
    """What the developer's shell says about servers and folders must not reach the tests."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(("EVERFRESH_", "MLFLOW_TRACKING", "PREFECT_")):
                patch.delenv(name)
        yield


@pytest.fixture(scope="session")
def table() -> pd.DataFrame:
    return rides(days=75)


@pytest.fixture
def make(checkout: Settings, table: pd.DataFrame) -> Make:
    """Make a project that nothing was trained for yet."""

    def a_project(given: pd.DataFrame | None = None, *, label: str = "late", **sections: Any) -> Workspace:
        file = write_project(checkout.projects, table if given is None else given, label=label, **sections)
        return open_in_memory(file, checkout)

    return a_project


@pytest.fixture(scope="session")
def lived(tmp_path_factory: pytest.TempPathFactory, migrated_database: Path, table: pd.DataFrame) -> Path:
    root = tmp_path_factory.mktemp("lived") / "checkout"
    (root / "mlruns").mkdir(parents=True)
    shutil.copy(migrated_database, root / "mlruns" / "mlflow.db")
    settings = Settings.from_environment({"EVERFRESH_ROOT": str(root)})
    workspace = open_in_memory(write_project(settings.projects, table), settings)
    first, _ = train(workspace, day(30))
    release(workspace, first, "the first one")
    train(workspace, day(45))
    return root


@pytest.fixture
def workspace(lived: Path, tmp_path: Path) -> Workspace:
    """v1 serves in memory, v2 is the challenger; the table goes on for a month after the rows of both."""
    root = tmp_path / "lived"
    shutil.copytree(lived, root)
    settings = Settings.from_environment({"EVERFRESH_ROOT": str(root)})
    workspace = open_in_memory(root / "projects" / "rides.yaml", settings)
    resume(workspace, START)
    return workspace
