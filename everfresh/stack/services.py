"""The processes of the stack and how to tell that each is ready. They listen on 127.0.0.1 only."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import httpx

import everfresh
from everfresh import process
from everfresh.process import Service
from everfresh.settings import Settings
from everfresh.stack.prefect_api import WORK_POOL, is_healthy, worker_reported_since

PREFECT = "prefect"
MLFLOW = "mlflow"
RUNNER = "runner"

_PROBE_SECONDS = 2.0


def prefect_environment(settings: Settings) -> dict[str, str]:
    """What every process that talks to Prefect needs beside the settings; what the user has set stays."""
    wanted = {
        "PREFECT_HOME": str(settings.home / "prefect"),
        "PREFECT_CLI_PROMPT": "false",
        "PREFECT_WORKER_QUERY_SECONDS": "2",
        # What the library logs is shown with the flow run that it belongs to, if it belongs to one.
        "PREFECT_LOGGING_EXTRA_LOGGERS": "everfresh,tasks",
        "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
        "DO_NOT_TRACK": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    chosen = settings.to_environment() | {"PREFECT_API_URL": settings.prefect_url}
    return _unless_set(wanted) | chosen | _importable(settings)


def prefect_service(settings: Settings) -> Service:
    """The Prefect server with its UI, on SQLite unless PREFECT_SERVER_DATABASE_CONNECTION_URL names a database."""
    port = settings.prefect_port
    return Service(
        name=PREFECT,
        command=_prefect_command("server", "start", "--host", "127.0.0.1", "--port", str(port)),
        environment=_server_environment(settings, port),
        port=port,
        port_remedy="Stop it, or choose another port with EVERFRESH_PREFECT_PORT.",
        is_ready=lambda: is_healthy(f"http://127.0.0.1:{port}/api"),
    )


def temporary_prefect_service(settings: Settings, port: int) -> Service:
    """A Prefect server for this process alone, over the same database; it ends with this process, however that ends.

    It records, and does nothing of itself: no schedules, no triggers, no UI.
    """
    owner = os.getpid()
    command = _prefect_command("server", "start", "--host", "127.0.0.1", "--port", str(port), "--no-ui", owner=owner)
    idle = {f"PREFECT_SERVER_SERVICES_{name}_ENABLED": "false" for name in ("SCHEDULER", "TRIGGERS", "LATE_RUNS")}
    return Service(
        name=temporary_name(owner),
        command=command,
        environment=_server_environment(settings, port) | idle,
        port=port,
        port_remedy="Try again.",
        is_ready=lambda: is_healthy(f"http://127.0.0.1:{port}/api"),
    )


def temporary_name(owner: int) -> str:
    """The name of the server that a process has for itself."""
    return f"{PREFECT}-for-{owner}"


def mlflow_service(settings: Settings) -> Service:
    """The MLflow UI over the same database that the flows write to."""
    port = settings.mlflow_port
    return Service(
        name=MLFLOW,
        command=[sys.executable, "-m", "everfresh.stack.mlflow_server"],
        environment=_unless_set({"MLFLOW_DISABLE_TELEMETRY": "true"})
        | settings.to_environment()
        | _importable(settings),
        port=port,
        port_remedy="Stop it, or choose another port with EVERFRESH_MLFLOW_PORT.",
        is_ready=lambda: _answers(f"http://127.0.0.1:{port}/health"),
    )


def runner_service(settings: Settings) -> Service:
    """A Prefect worker on this machine: it runs what the schedules, the events and the UI ask for, two at a time."""
    pool = ("--pool", WORK_POOL, "--type", "process")
    return Service(
        name=RUNNER,
        command=_prefect_command("worker", "start", *pool, "--name", "this-machine", "--limit", "2"),
        environment=prefect_environment(settings),
        port=None,
        port_remedy="",
        is_ready=lambda: _runner_reported(settings),
    )


def _server_environment(settings: Settings, port: int) -> dict[str, str]:
    api = f"http://127.0.0.1:{port}/api"
    wanted = {
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        # Any web page may send requests to this machine; only the UI's own may read answers and start runs.
        "PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS": f"http://127.0.0.1:{port},http://localhost:{port}",
        # In memory they would be lost with the server, and a run that dies with it would keep its deployment's only
        # slot for ever: every later run would be cancelled.
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
    }
    return prefect_environment(settings) | _unless_set(wanted) | {"PREFECT_API_URL": api}


def _runner_reported(settings: Settings) -> bool:
    """Whether this very worker has reported: the server believes for a while that one which was stopped still runs."""
    runner = process.find(RUNNER, settings.home)
    return runner is not None and worker_reported_since(settings.prefect_url, runner.create_time())


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=_PROBE_SECONDS).is_success
    except httpx.HTTPError:
        return False


def _unless_set(wanted: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in wanted.items() if name not in os.environ}


def _importable(settings: Settings) -> dict[str, str]:
    """The flows of the checkout, and this same everfresh, from whatever folder the process is started in."""
    library = str(Path(everfresh.__file__).parents[1])
    folders = dict.fromkeys([str(settings.root), library, *os.environ.get("PYTHONPATH", "").split(os.pathsep)])
    return {"PYTHONPATH": os.pathsep.join(filter(None, folders))}


def _prefect_command(*words: str, owner: int | None = None) -> list[str]:
    attended = ["--while", str(owner)] if owner is not None else []
    return [sys.executable, "-m", "everfresh.stack.prefect_command", *attended, *words]
