from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pandas as pd
import pytest
from threadpoolctl import threadpool_limits

from everfresh.loop.workspace import Workspace
from everfresh.settings import Settings
from everfresh.targets.local import LocalTarget
from everfresh.testing.projects import open_in_memory, rides, write_project


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """Small fits are faster on one thread, and much faster where the other cores are busy."""
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="session")
def table() -> pd.DataFrame:
    return rides(days=60)


@pytest.fixture
def place(checkout: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A checkout of its own, which the environment names: flows find their workspace by it."""
    for name in list(os.environ):
        if name.startswith(("EVERFRESH_", "MLFLOW_TRACKING")):
            monkeypatch.delenv(name)
    for name, value in checkout.to_environment().items():
        monkeypatch.setenv(name, value)
    return checkout


@pytest.fixture
def project(place: Settings, table: pd.DataFrame) -> Iterator[Callable[..., Workspace]]:
    """Make a project that serves at a free port of this machine; its server is stopped with the test."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    target = LocalTarget(port, place.home)

    def make(given: pd.DataFrame | None = None, **sections: Any) -> Workspace:
        targets = [{"kind": "local", "port": port}]
        file = write_project(place.projects, table if given is None else given, **{"targets": targets, **sections})
        return open_in_memory(file, place, target)

    yield make
    target.stop()
