from __future__ import annotations

import os
from collections.abc import Iterator

import pandas as pd
import pytest
from threadpoolctl import threadpool_limits

from everfresh.testing.projects import rides


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
