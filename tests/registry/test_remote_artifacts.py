"""Artifacts in S3 and in Azure: what a version is made of goes there and comes back the same."""

from __future__ import annotations

import base64
import os
import shutil
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from everfresh.data.frames import model_frame
from everfresh.errors import MissingExtra
from everfresh.loop.rows import learning_rows
from everfresh.loop.workspace import Workspace
from everfresh.packaging.batch import batch_of
from everfresh.packaging.pipelines import REVIEWED_TYPES
from everfresh.packaging.scorer import open_scorer
from everfresh.registry.connection import connect
from everfresh.registry.versions import ModelVersion
from everfresh.settings import Settings
from everfresh.testing.projects import day, open_in_memory, rides, train, write_project

pytestmark = pytest.mark.slow

AZURE_KEY = base64.b64encode(b"k" * 64).decode()


@pytest.fixture(autouse=True)
def _nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the developer's shell says about clouds must not reach the tests, nor the tests a cloud."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "AZURE_", "MLFLOW_S3_")):
            monkeypatch.delenv(name)


def trained(settings: Settings, artifacts: str) -> tuple[Workspace, ModelVersion]:
    """A version of the rides, with its artifacts there."""
    settings = replace(settings, artifacts=artifacts)
    workspace = open_in_memory(write_project(settings.projects, rides(days=40)), settings)
    version, verdict = train(workspace, day(35))
    assert verdict.passed, verdict.reason
    return workspace, version


def answers(workspace: Workspace, version: ModelVersion) -> tuple[list[float], list[float]]:
    """What the version answers to the last rows: the bundle that comes back, and MLflow's model."""
    import mlflow.sklearn

    bundle = workspace.bundle(version)
    assert bundle.manifest.digest == version.bundle_digest
    rows = model_frame(learning_rows(workspace.project, workspace.settings).holdout.rows.tail(20), bundle.manifest.columns)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of MLflow's own
        model = mlflow.sklearn.load_model(f"models:/rides/{version.version}")
    served = open_scorer(bundle).score(batch_of(rows, bundle.manifest.columns))
    return np.asarray(served)[:, 1].tolist(), model.predict_proba(rows)[:, 1].tolist()


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.mark.parametrize("variable", ["AWS_ENDPOINT_URL", "MLFLOW_S3_ENDPOINT_URL"])
def test_a_version_lives_in_s3(settings: Settings, s3: str, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    import boto3

    monkeypatch.setenv(variable, s3)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    client = boto3.client("s3", endpoint_url=s3)
    client.create_bucket(Bucket=variable.lower().replace("_", "-"))
    began = time.monotonic()
    workspace, version = trained(settings, f"s3://{variable.lower().replace('_', '-')}/team/everfresh")
    served, loaded = answers(workspace, version)
    print(time.monotonic() - began)
    assert served == pytest.approx(loaded, abs=1e-9)
    keys = [item["Key"] for item in client.list_objects_v2(Bucket=variable.lower().replace("_", "-"))["Contents"]]
    print(*keys, sep="\n")
    print(list(settings.root.rglob("*")))
