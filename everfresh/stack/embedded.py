"""The whole stack of this machine: started side by side, found again, stopped."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from everfresh import process
from everfresh.registry.connection import without_password
from everfresh.settings import Settings
from everfresh.spec.project import ProjectSpec
from everfresh.stack.deployments import deploy_flows
from everfresh.stack.prefect_api import make_work_pool
from everfresh.stack.prefect_server import start_prefect
from everfresh.stack.runner import start_runner, stop_runner
from everfresh.stack.services import MLFLOW, PREFECT, RUNNER, mlflow_service
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


def addresses_of(settings: Settings) -> Addresses:
    """Where the pages are while the stack runs."""
    return Addresses(
        prefect=without_password(settings.prefect_url.rstrip("/").removesuffix("/api")),
        mlflow=without_password(settings.mlflow_url),
    )


def start_stack(
    settings: Settings, specs: Sequence[ProjectSpec] | None, *, progress: Progress = lambda sentence: None
) -> Addresses:
    """Let Prefect and MLflow run, and for `specs` their flow deployments and the runner; what runs already is kept.

    Args:
        settings: where. A Prefect or MLflow server that they name is used, not started.
        specs: the projects whose flows are to run by schedule, event and button; None for Prefect and MLflow alone.
        progress: told what happens, one sentence at a time and from several threads.

    Raises:
        StackError: a part cannot be started. What this call had started is stopped again.
    """
    ran = process.running_names(settings.home)
    addresses = addresses_of(settings)
    try:
        with ThreadPoolExecutor() as pool:
            jobs = [
                pool.submit(_start_mlflow, settings, addresses, progress),
                pool.submit(_start_prefect, settings, addresses, specs, progress),
            ]
        for job in jobs:
            job.result()
    except BaseException:
        for name in (RUNNER, PREFECT, MLFLOW):
            if name not in ran:
                process.stop(name, settings.home)
        raise
    return addresses


def stop_stack(settings: Settings) -> tuple[str, ...]:
    """Stop every process of this checkout on this machine; says which of them ran, nothing where none did."""
    # The runner first: no flow may start or deploy anything while the rest goes.
    stopped = [RUNNER] if stop_runner(settings) else []
    ports = sorted(int(folder.name) for folder in settings.home.glob("serving/*") if folder.name.isdigit())
    targets = [LocalTarget(port, settings.home) for port in ports]
    with ThreadPoolExecutor() as pool:
        endings = {target.name: pool.submit(target.stop) for target in targets}
        endings |= {name: pool.submit(process.stop, name, settings.home) for name in (MLFLOW, PREFECT)}
    return (*stopped, *(name for name, ending in endings.items() if ending.result()))


def _start_mlflow(settings: Settings, addresses: Addresses, progress: Progress) -> None:
    if settings.has_own_mlflow:
        ran = process.find(MLFLOW, settings.home) is not None
        seconds = _seconds(lambda: process.start(mlflow_service(settings), settings.home))
        progress(_told("MLflow", addresses.mlflow, seconds, ran=ran))


def _start_prefect(
    settings: Settings, addresses: Addresses, specs: Sequence[ProjectSpec] | None, progress: Progress
) -> None:
    ran = not settings.has_own_prefect or process.find(PREFECT, settings.home) is not None
    seconds = _seconds(lambda: start_prefect(settings))
    progress(_told("Prefect", addresses.prefect, seconds, ran=ran))
    if specs is None:
        return
    make_work_pool(settings.prefect_url)
    with ThreadPoolExecutor() as pool:
        runner = pool.submit(_start_runner, settings, progress)
        seconds = _seconds(lambda: deploy_flows(specs, settings))
        projects = ", ".join(spec.name for spec in specs) or "no project"
        progress(f"Flows are deployed for {projects} ({seconds:.1f} s).")
        runner.result()


def _start_runner(settings: Settings, progress: Progress) -> None:
    ran = process.find(RUNNER, settings.home) is not None
    seconds = _seconds(lambda: start_runner(settings))
    progress("The runner runs already." if ran else f"The runner runs ({seconds:.1f} s).")


def _told(title: str, where: str, seconds: float, *, ran: bool) -> str:
    return f"{title} runs already: {where}" if ran else f"{title} runs: {where} ({seconds:.1f} s)"


def _seconds(call: Callable[[], object]) -> float:
    began = time.monotonic()
    call()
    return time.monotonic() - began
