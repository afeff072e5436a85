"""The whole stack of this machine: started side by side, found again, stopped."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from everfresh import process
from everfresh.errors import PrefectUnreachable
from everfresh.process import Service
from everfresh.registry.connection import without_password
from everfresh.settings import Settings
from everfresh.spec.project import ProjectSpec
from everfresh.stack.deployments import deploy_flows
from everfresh.stack.prefect_api import end_abandoned_runs, is_healthy, make_work_pool
from everfresh.stack.services import (
    MLFLOW,
    PREFECT,
    RUNNER,
    mlflow_service,
    prefect_service,
    runner_service,
)
from everfresh.targets.local import LocalTarget

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Addresses:
    """Where the two pages are."""

    prefect: str
    mlflow: str

    def to_json(self) -> dict[str, str]:
        """Under the names that people know them by."""
        return {"Prefect": self.prefect, "MLflow": self.mlflow}


def start_stack(
    settings: Settings, specs: Sequence[ProjectSpec] | None, *, progress: Progress = lambda _: None
) -> Addresses:
    """Let Prefect and MLflow run, and for `specs` their flow deployments and the runner; whatever runs already is kept.

    Args:
        settings: where. A Prefect or MLflow server that they name is used, not started.
        specs: the projects whose flows are to run by schedule, event and button; None for Prefect and MLflow alone.
        progress: told what happens, one sentence at a time and from more than one thread.

    Raises:
        StackError: something cannot be started. What this call has started by then is stopped again.
    """
    ran_before = process.running_names(settings.home)
    with ThreadPoolExecutor(max_workers=2) as pool:
        jobs = [pool.submit(_start_mlflow, settings, progress), pool.submit(_start_prefect, settings, specs, progress)]
    failures = [error for job in jobs if (error := job.exception()) is not None]
    if failures:
        for name in (RUNNER, PREFECT, MLFLOW):
            if name not in ran_before:
                process.stop(name, settings.home)
        raise failures[0]
    return Addresses(prefect=_prefect_page(settings), mlflow=without_password(settings.mlflow_url))


def stop_stack(settings: Settings) -> tuple[str, ...]:
    """Stop every process of this checkout on this machine; the names of those that ran."""
    # The runner first: nothing may start or deploy anything while the rest goes.
    stopped = [RUNNER] if process.stop(RUNNER, settings.home) else []
    targets = [LocalTarget(int(port), settings.home) for port in _serving_ports(settings)]
    names = [name for name in process.running_names(settings.home)]
    with ThreadPoolExecutor(max_workers=8) as pool:
        endings = {target.name: pool.submit(target.stop) for target in targets}
        endings |= {name: pool.submit(process.stop, name, settings.home) for name in names}
        ...
    return tuple(stopped)
