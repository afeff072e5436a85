"""The MLflow UI as one process: `python -m everfresh.stack.mlflow_server`.

`mlflow server` is two processes of the same size, takes twice as long to start, and is told where the database is, with
its password, on the command line, which everybody on the machine may read.
"""

from __future__ import annotations

import os

import uvicorn

from everfresh.registry.connection import connect
from everfresh.settings import Settings


def main() -> None:
    """Serve until SIGTERM."""
    settings = Settings.from_environment()
    # A fresh database is migrated under the lock that the flows take as well; two migrations at once would break it.
    connect(settings)
    os.environ.update(server_variables(settings))

    from mlflow.server.fastapi_app import app

    uvicorn.run(app, host="127.0.0.1", port=settings.mlflow_port, log_level="warning")


def server_variables(settings: Settings) -> dict[str, str]:
    """How MLflow's application is told its stores. Artifacts are read where they lie; none are taken in."""
    from mlflow.environment_variables import MLFLOW_SERVER_ENABLE_JOB_EXECUTION
    from mlflow.server.constants import ARTIFACT_ROOT_ENV_VAR, BACKEND_STORE_URI_ENV_VAR, REGISTRY_STORE_URI_ENV_VAR

    return {
        BACKEND_STORE_URI_ENV_VAR: settings.tracking_uri,
        REGISTRY_STORE_URI_ENV_VAR: settings.tracking_uri,
        ARTIFACT_ROOT_ENV_VAR: settings.artifacts,
        # Nothing here needs a queue of jobs and the processes that work it off.
        MLFLOW_SERVER_ENABLE_JOB_EXECUTION.name: "false",
    }


if __name__ == "__main__":
    main()
