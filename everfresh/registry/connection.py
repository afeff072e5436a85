"""The way to MLflow: reachable or not, migrated once, one experiment for each project."""

from __future__ import annotations

import fcntl
import functools
import logging
import os
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Concatenate, ParamSpec, Protocol, TypeVar
from urllib.parse import unquote

import httpx
import sqlalchemy

from everfresh.errors import MissingExtra, RegistryUnreachable
from everfresh.settings import Settings

# Set before MLflow is imported: it reads them once.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
# MLflow's default waits for minutes on a server that is not there.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # deprecations inside MLflow's own imports are not ours to show
    import mlflow
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

__all__ = [
    "MlflowClient",
    "MlflowException",
    "connect",
    "experiment_id",
    "get_artifact_repository",
    "is_missing",
    "mlflow",
    "says_when_unreachable",
    "without_password",
]

logger = logging.getLogger(__name__)

_PROBE_SECONDS = 5.0
_PASSWORD = re.compile(r"(://[^:/?#@]*:)([^?#]+)@")
_SECRET = re.compile(r"(?i)([?&][^=&]*(?:password|passwd|pwd|secret|token)[^=&]*=)[^&\s]*")

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


class _HasSettings(Protocol):
    settings: Settings


_Speaker = TypeVar("_Speaker", bound=_HasSettings)


def connect(settings: Settings) -> MlflowClient:
    """A client for the tracking store and the registry, with the database migrated.

    Raises:
        RegistryUnreachable: no answer from there.
        MissingExtra: the driver of the database is not installed.
    """
    uri = settings.tracking_uri
    _probe(uri)
    with _environment_kept("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"):
        mlflow.set_tracking_uri(uri)
        mlflow.set_registry_uri(uri)
    with _one_at_a_time(settings.home / "mlflow.lock"):
        # A fresh database is migrated by its first use; two first uses at once would break it.
        try:
            client = MlflowClient(tracking_uri=uri, registry_uri=uri)
            client.search_experiments(max_results=1)
        except (MlflowException, sqlalchemy.exc.SQLAlchemyError) as error:
            raise _unreachable(uri, error) from error
    return client


def is_missing(error: MlflowException) -> bool:
    """Whether MLflow says that there is no such thing; any other error is no answer to the question.

    It calls a missing alias an invalid parameter.
    """
    return error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")


def says_when_unreachable(
    method: Callable[Concatenate[_Speaker, _Arguments], _Result],
) -> Callable[Concatenate[_Speaker, _Arguments], _Result]:
    """Let a method raise RegistryUnreachable where MLflow went away in the meantime, in place of a long trace."""

    @functools.wraps(method)
    def speaking(self: _Speaker, /, *arguments: _Arguments.args, **named: _Arguments.kwargs) -> _Result:
        try:
            return method(self, *arguments, **named)
        except MlflowException as error:
            if error.error_code in ("INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE", "BAD_REQUEST"):
                raise _unreachable(self.settings.tracking_uri, error) from error
            raise

    return speaking


def experiment_id(client: MlflowClient, project: str, artifacts: str) -> str:
    """The project's experiment; it is created, with its artifacts below `artifacts`, on first use, and stays there."""
    place = artifacts.rstrip("/") if "://" in artifacts else Path(artifacts).resolve().as_uri()
    location = f"{place}/{project}"
    found = client.get_experiment_by_name(project)
    if found is None:
        try:
            return str(client.create_experiment(project, artifact_location=location))
        except MlflowException:
            # Somebody else was faster.
            found = client.get_experiment_by_name(project)
            if found is None:
                raise
    if found.lifecycle_stage == "deleted":
        # Its name stays taken, and a deleted experiment takes no runs.
        client.restore_experiment(found.experiment_id)
    if found.artifact_location != location:
        logger.warning(
            "Artifacts of %s still go to %s: MLflow moves no experiment, and EVERFRESH_ARTIFACTS is for new projects",
            project,
            found.artifact_location,
        )
    return str(found.experiment_id)


def without_password(uri: str) -> str:
    """The address as it may be shown.

    >>> without_password("postgresql://me:secret@db/mlflow?sslpassword=hidden")
    'postgresql://me:***@db/mlflow?sslpassword=***'
    """
    return _SECRET.sub(r"\1***", _PASSWORD.sub(r"\1***@", uri))


def _probe(uri: str) -> None:
    """One quick question, so that an unreachable store is said at once and in one sentence."""
    try:
        if uri.startswith(("http://", "https://")):
            response = httpx.get(f"{uri.rstrip('/')}/health", timeout=_PROBE_SECONDS)
            if not response.is_success:
                raise RegistryUnreachable(without_password(uri), f"it answers {response.status_code} to /health")
        elif uri.startswith("sqlite:///"):
            Path(uri.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
        else:
            # A host that swallows packets is waited for by the drivers as long as the system does: for minutes.
            patience = {"connect_timeout": int(_PROBE_SECONDS)} if uri.startswith(("postgresql", "mysql")) else {}
            with sqlalchemy.create_engine(uri, poolclass=sqlalchemy.NullPool, connect_args=patience).connect():
                pass
    except (httpx.HTTPError, httpx.InvalidURL, sqlalchemy.exc.SQLAlchemyError, ValueError) as error:
        raise _unreachable(uri, error) from error
    except OSError as error:
        raise RegistryUnreachable(without_password(uri), error.strerror or str(error)) from error
    except ModuleNotFoundError as error:
        raise MissingExtra(f"MLflow on {uri.split(':')[0]}", "postgres") from error


def _unreachable(uri: str, error: Exception) -> RegistryUnreachable:
    why = _first_line(getattr(error, "orig", None) or error)
    # A driver may repeat the address, or the password by itself.
    found = _PASSWORD.search(uri)
    for secret in {found[2], unquote(found[2])} if found else ():
        why = why.replace(secret, "***")
    return RegistryUnreachable(without_password(uri), without_password(why))


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__


@contextmanager
def _environment_kept(*names: str) -> Iterator[None]:
    """MLflow writes what it is told into the environment, where later settings would take it for a wish."""
    before = {name: os.environ.get(name) for name in names}
    yield
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


@contextmanager
def _one_at_a_time(lock: Path) -> Iterator[None]:
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
