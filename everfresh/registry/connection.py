"""The way to MLflow: reachable or not, migrated once, one experiment for each project."""

from __future__ import annotations

import fcntl
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import sqlalchemy

from everfresh.errors import RegistryUnreachable
from everfresh.settings import Settings

# Set before MLflow is imported: it reads them once.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
# MLflow's default waits for minutes on a server that is not there.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # deprecations inside MLflow's own imports are not ours to show
    import mlflow
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

__all__ = ["MlflowClient", "MlflowException", "connect", "experiment_id", "mlflow", "without_password"]

_PROBE_SECONDS = 5.0


def connect(settings: Settings) -> MlflowClient:
    """A client for the tracking store and the registry, with the database migrated.

    Raises:
        RegistryUnreachable: no answer from there.
    """
    uri = settings.tracking_uri
    _probe(uri)
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    with _one_at_a_time(settings.home / "mlflow.lock"):
        # A fresh database is migrated by its first use; two first uses at once would break it.
        try:
            client.search_experiments(max_results=1)
        except MlflowException as error:
            raise RegistryUnreachable(without_password(uri), str(error).splitlines()[0]) from error
    return client


def experiment_id(client: MlflowClient, project: str, artifacts: str) -> str:
    """The project's experiment; it is created, with its artifacts below `artifacts`, on first use."""
    found = client.get_experiment_by_name(project)
    if found is not None:
        return str(found.experiment_id)
    location = artifacts if "://" in artifacts else Path(artifacts).resolve().as_uri()
    try:
        return str(client.create_experiment(project, artifact_location=f"{location}/{project}"))
    except MlflowException:
        # Somebody else was faster.
        found = client.get_experiment_by_name(project)
        if found is None:
            raise
        return str(found.experiment_id)


def without_password(uri: str) -> str:
    """The address as it may be shown.

    >>> without_password("postgresql://me:secret@db/mlflow")
    'postgresql://me:***@db/mlflow'
    """
    password = urlsplit(uri).password
    return uri.replace(f":{password}@", ":***@") if password else uri


def _probe(uri: str) -> None:
    """One quick question, so that an unreachable store is said at once and in one sentence."""
    try:
        if uri.startswith(("http://", "https://")):
            httpx.get(f"{uri.rstrip('/')}/health", timeout=_PROBE_SECONDS).raise_for_status()
        elif uri.startswith("sqlite:///"):
            Path(uri.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
        else:
            engine = sqlalchemy.create_engine(uri, poolclass=sqlalchemy.NullPool)
            with engine.connect():
                pass
    except httpx.HTTPError as error:
        raise RegistryUnreachable(uri, str(error) or type(error).__name__) from error
    except sqlalchemy.exc.SQLAlchemyError as error:
        reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        raise RegistryUnreachable(without_password(uri), reason) from error
    except OSError as error:
        raise RegistryUnreachable(uri, error.strerror or str(error)) from error


@contextmanager
def _one_at_a_time(lock: Path) -> Iterator[None]:
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
