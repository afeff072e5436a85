"""The store of MLflow's artifacts: a folder, S3 or Azure; what it needs, and what it says when it does not answer."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from everfresh.errors import ArtifactsUnreachable, MissingExtra
from everfresh.registry.connection import MlflowClient, MlflowException, get_artifact_repository, is_missing

# The package that MLflow talks to each store with, and the extra that brings it.
_PACKAGES = {
    "s3": ("boto3", "aws"),
    "wasbs": ("azure.storage.blob", "azure"),
    "abfss": ("azure.storage.filedatalake", "azure"),
}
_SPEAKERS = ("boto3", "botocore", "s3transfer", "azure")
# How MLflow begins where it tells a store's failure itself.
_SEVERAL = "The following failures occurred"
_NO_LIST = "Failed to list artifacts"
_QUERY = re.compile(r"(?<=\w)\?[^\s\"']*")
_LONGEST_REASON = 300


def check_store(artifacts: str) -> None:
    """See that artifacts can be written there as far as packages go, before anything is fitted in vain.

    Raises:
        MissingExtra: the package for that store is not installed.
    """
    package, extra = _PACKAGES.get(artifacts.partition("://")[0], ("", ""))
    if package and not _is_installed(package):
        raise MissingExtra(f"Keeping artifacts at {artifacts}", extra)


@contextmanager
def reaching(uri: str) -> Iterator[None]:
    """Let what a store raises be one sentence about it, in place of its own package's trace.

    Raises:
        ArtifactsUnreachable: it does not answer, or refuses.
        MissingExtra: the package for that store is not installed.
    """
    try:
        yield
    except ImportError as error:
        _, extra = _PACKAGES.get(uri.partition("://")[0], ("", ""))
        if not extra or (error.name is not None and not _is_a_speaker(error.name)):
            raise
        raise MissingExtra(f"Keeping artifacts at {uri}", extra) from error
    except Exception as error:
        if not _is_from_a_store(error):
            raise
        raise ArtifactsUnreachable(uri, _reason(uri, error)) from error


def artifacts_of(client: MlflowClient, run_id: str) -> str:
    """Where the artifacts of a run lie."""
    return str(client.get_run(run_id).info.artifact_uri)


def download(client: MlflowClient, run_id: str, name: str, directory: Path) -> Path | None:
    """A file or a folder of a run, copied below `directory`; None where the run has no such thing.

    The store itself is asked: of a run, MLflow says that it has no such file where the store did not answer, too.

    Raises:
        ArtifactsUnreachable: the store does not answer, or refuses.
        MissingExtra: the package for that store is not installed.
    """
    uri = artifacts_of(client, run_id)
    with reaching(uri):
        store = get_artifact_repository(uri, tracking_uri=client.tracking_uri)
        there = store.list_artifacts(posixpath.dirname(name) or None)
        if name not in {item.path for item in there}:
            return None
        return Path(store.download_artifacts(name, str(directory)))


def _is_installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except (ModuleNotFoundError, ValueError):  # the package that it lies in is not there
        return False


def _is_from_a_store(error: Exception) -> bool:
    if isinstance(error, MlflowException):
        # A bucket that is not there is "missing" to MLflow, but it says nothing about a file in it.
        return str(error).startswith(_NO_LIST) or (str(error).startswith(_SEVERAL) and not is_missing(error))
    return _is_a_speaker(type(error).__module__)


def _is_a_speaker(module: str) -> bool:
    return module.partition(".")[0] in _SPEAKERS


def _reason(uri: str, error: Exception) -> str:
    """The line that says it: the first, or the last one where MLflow announces several failures."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    line = lines[-1 if lines[0].startswith(_SEVERAL) else 0]
    # Where an address is repeated with what was asked of it, its signature is, too.
    return _QUERY.sub("", line.removeprefix(f"{_NO_LIST} in {uri}: "))[:_LONGEST_REASON].rstrip(". ")
