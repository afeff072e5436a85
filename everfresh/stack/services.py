"""The processes of the stack and how to tell that each is ready. They listen on 127.0.0.1 only."""

from __future__ import annotations

import os
import sys

import httpx

from everfresh.process import Service
from everfresh.settings import Settings

PREFECT = "prefect"
MLFLOW = "mlflow"
RUNNER = "runner"
WORK_POOL = "everfresh"

_PROBE_SECONDS = 2.0


def prefect_environment(settings: Settings) -> dict[str, str]:
    """What every process that talks to Prefect on this machine needs; what the user has set stays."""
    wanted = {
        "PREFECT_HOME": str(settings.home / "prefect"),
        "PREFECT_API_URL": settings.prefect_url,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
        "PREFECT_RUNNER_HEARTBEAT_FREQUENCY": "30",
        "PREFECT_WORKER_QUERY_SECONDS": "2",
        "PREFECT_CLI_PROMPT": "false",
        "MLFLOW_TRACKING_URI": settings.tracking_uri,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "EVERFRESH_ROOT": str(settings.root),
        "PYTHONPATH": os.pathsep.join(filter(None, [str(settings.root), os.environ.get("PYTHONPATH")])),
    }
    return {name: value for name, value in wanted.items() if name == "PYTHONPATH" or name not in os.environ}


def prefect_service(settings: Settings) -> Service:
    """The Prefect server with its UI; its database is SQLite unless PREFECT_SERVER_DATABASE_CONNECTION_URL says else."""
    port = settings.prefect_port
    return Service(
        name=PREFECT,
        command=[*_python("prefect"), "server", "start", "--host", "127.0.0.1", "--port", str(port)],
        environment=prefect_environment(settings),
        port=port,
        port_remedy="Stop it, or choose another port with EVERFRESH_PREFECT_PORT.",
        is_ready=lambda: answers(f"http://127.0.0.1:{port}/api/health"),
    )


def mlflow_service(settings: Settings) -> Service:
    """The MLflow UI over the same database that the flows write to."""
    port = settings.mlflow_port
    return Service(
        name=MLFLOW,
        command=[
            *_python("mlflow"), "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
            "--backend-store-uri", settings.tracking_uri, "--default-artifact-root", settings.artifacts,
            "--no-serve-artifacts",
        ],  # fmt: skip
        environment={"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
        port=port,
        port_remedy="Stop it, or choose another port with EVERFRESH_MLFLOW_PORT.",
        is_ready=lambda: answers(f"http://127.0.0.1:{port}/health"),
    )


def runner_service(settings: Settings) -> Service:
    """A Prefect worker on this machine: it runs what the schedules, the events and the UI ask for."""
    port = 0
    return Service(
        name=RUNNER,
        command=[
            *_python("prefect"), "worker", "start", "--pool", WORK_POOL, "--type", "process", "--name", "this-machine",
            "--limit", "2",
        ],  # fmt: skip
        environment=prefect_environment(settings),
        port=port or None,
        port_remedy="",
        is_ready=lambda: _has_worker(settings),
    )


def answers(url: str) -> bool:
    """Whether a GET there answers with success."""
    try:
        return httpx.get(url, timeout=_PROBE_SECONDS).is_success
    except httpx.HTTPError:
        return False


def _has_worker(settings: Settings) -> bool:
    url = f"{settings.prefect_url}/work_pools/{WORK_POOL}/workers/filter"
    try:
        workers = httpx.post(url, json={}, timeout=_PROBE_SECONDS).json()
    except (httpx.HTTPError, ValueError):
        return False
    return isinstance(workers, list) and any(worker.get("status") == "ONLINE" for worker in workers)


def _python(module: str) -> list[str]:
    return [sys.executable, "-m", module]
