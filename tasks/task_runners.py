"""What runs candidates side by side: threads of this process, or a Dask or Ray cluster."""

from __future__ import annotations

import os
from typing import Any

from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from everfresh.errors import MissingExtra
from everfresh.spec.training import SearchSpec


def task_runner(search: SearchSpec) -> TaskRunner[Any]:
    """The runner that a spec's search asks for.

    A cluster is the one at EVERFRESH_DASK_ADDRESS or EVERFRESH_RAY_ADDRESS, or a temporary one on this machine.

    Raises:
        MissingExtra: the package for that cluster is not installed.
    """
    match search.parallel:
        case "dask":
            return _dask()
        case "ray":
            return _ray()
        case _:
            return ThreadPoolTaskRunner(max_workers=os.cpu_count() or 1)


def _dask() -> TaskRunner[Any]:
    try:
        from prefect_dask import DaskTaskRunner
    except ModuleNotFoundError as error:
        raise MissingExtra("Searching on Dask", "dask") from error
    address = os.environ.get("EVERFRESH_DASK_ADDRESS")
    return DaskTaskRunner(address=address) if address else DaskTaskRunner(cluster_kwargs={"dashboard_address": None})


def _ray() -> TaskRunner[Any]:
    try:
        from prefect_ray import RayTaskRunner
    except ModuleNotFoundError as error:
        raise MissingExtra("Searching on Ray", "ray") from error
    address = os.environ.get("EVERFRESH_RAY_ADDRESS")
    return RayTaskRunner(address=address) if address else RayTaskRunner(init_kwargs={"include_dashboard": False})
