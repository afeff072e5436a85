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
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import boto3
import httpx
import numpy as np
import pytest

from everfresh.data.frames import model_frame
from everfresh.errors import ArtifactsUnreachable, BundleNotRegistered, EverfreshError, MissingExtra
from everfresh.evaluation.verdict import Verdict
from everfresh.loop.judgement import judge
from everfresh.loop.rows import learning_rows
from everfresh.loop.workspace import Workspace
from everfresh.packaging.batch import batch_of
from everfresh.packaging.scorer import open_scorer
from everfresh.registry.artifacts import check_store, reaching
from everfresh.registry.connection import experiment_id, get_artifact_repository
from everfresh.registry.store import Registry
from everfresh.registry.versions import ModelVersion
from everfresh.settings import Settings
from everfresh.testing.projects import day, open_in_memory, rides, train, write_project

MLFLOW_FILES = {"MLmodel", "model.skops", "requirements.txt"}
Trained = Callable[[str], tuple[Workspace, ModelVersion, Verdict]]

KEY = base64.b64encode(b"k" * 64).decode()
WASBS = "wasbs://lake@acme.blob.core.windows.net/team/everfresh"


@pytest.fixture(autouse=True)
def _no_cloud_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the developer's shell says about clouds must not reach the tests, nor the tests a cloud."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "AZURE_", "MLFLOW_S3_")):
            monkeypatch.delenv(name)


def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def nobody() -> str:
    """An address at which nobody listens."""
    return f"http://127.0.0.1:{unused_port()}"


@pytest.fixture
def trained(settings: Settings) -> Trained:
    """A project of rides, and a judged version of it with its artifacts there."""

    def with_artifacts(artifacts: str) -> tuple[Workspace, ModelVersion, Verdict]:
        there = replace(settings, artifacts=artifacts)
        workspace = open_in_memory(write_project(there.projects, rides(days=40)), there)
        return workspace, *train(workspace, day(35))

    return with_artifacts


def comes_back(workspace: Workspace, version: ModelVersion) -> None:
    """The bundle is the one that was registered, it answers, and MLflow's model answers the same."""
    import mlflow.sklearn

    bundle = workspace.bundle(version)
    assert bundle.manifest.digest == version.bundle_digest
    rows = model_frame(
        learning_rows(workspace.project, workspace.settings).holdout.rows.tail(20), bundle.manifest.columns
    )
    served = np.asarray(open_scorer(bundle).score(batch_of(rows, bundle.manifest.columns)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of MLflow's own
        model = mlflow.sklearn.load_model(f"models:/{version.name}/{version.version}")
    np.testing.assert_allclose(served, model.predict_proba(rows), atol=1e-9)
    assert "## Verdict: PASS" in str(workspace.registry.read_text(version, "verdict.md"))
    assert workspace.registry.read_text(version, "nothing.md") is None


# --- S3, as moto has it -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def s3_server() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of an S3 that holds an empty bucket `lake`, and in the environment the way to it."""
    for name, value in {"ACCESS_KEY_ID": "id", "SECRET_ACCESS_KEY": "secret", "DEFAULT_REGION": "us-east-1"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server)
    # All servers of a process share what is in them.
    httpx.post(f"{s3_server}/moto-api/reset")
    boto3.client("s3").create_bucket(Bucket="lake")
    yield s3_server
    lake = boto3.resource("s3", endpoint_url=s3_server).Bucket("lake")
    lake.objects.delete()
    lake.delete()


def keys(prefix: str = "") -> set[str]:
    return {item.key for item in boto3.resource("s3").Bucket("lake").objects.filter(Prefix=prefix)}


@pytest.mark.slow
def test_a_version_lives_in_s3(s3: str, trained: Trained) -> None:
    workspace, version, verdict = trained("s3://lake/team/everfresh/")

    assert verdict.passed, verdict.reason
    comes_back(workspace, version)
    assert {key.rpartition("/")[2] for key in keys("team/everfresh/rides/models/")} >= MLFLOW_FILES
    assert keys(f"team/everfresh/rides/{version.run_id}/artifacts/") == keys() - keys("team/everfresh/rides/models/")
    assert not Path(workspace.settings.root / "mlruns" / "artifacts").exists()


@pytest.mark.slow
def test_mlflow_may_have_an_s3_of_its_own(
    s3: str, trained: Trained, monkeypatch: pytest.MonkeyPatch, nobody: str
) -> None:
    monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", s3)
    monkeypatch.setenv("AWS_ENDPOINT_URL", nobody)
    workspace, version, _ = trained("s3://lake")

    comes_back(workspace, version)


@pytest.mark.slow
def test_a_bundle_that_somebody_took_out_of_s3_is_not_there(s3: str, trained: Trained) -> None:
    workspace, version, _ = trained("s3://lake/mlflow")
    boto3.resource("s3").Bucket("lake").objects.filter(
        Prefix=f"mlflow/rides/{version.run_id}/artifacts/bundle/"
    ).delete()

    with pytest.raises(BundleNotRegistered, match="there is none at s3://lake/mlflow/rides/") as caught:
        workspace.registry.download_bundle(version, workspace.settings.home / "again")
    assert not caught.value.may_heal


@pytest.mark.slow
def test_an_s3_that_does_not_answer_says_nothing_about_what_is_in_it(
    s3: str, trained: Trained, monkeypatch: pytest.MonkeyPatch, nobody: str
) -> None:
    workspace, champion, _ = trained("s3://lake/mlflow")
    workspace.registry.promote(champion, "the first one")
    challenger, _ = train(workspace, day(39))
    rows = learning_rows(workspace.project, workspace.settings, day(39))
    shutil.rmtree(workspace.settings.home / "bundles" / "rides" / str(champion.version))
    monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", nobody)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")

    questions: list[Callable[[], object]] = [
        lambda: workspace.bundle(champion),
        lambda: workspace.registry.read_text(champion, "verdict.md"),
        # A champion that cannot be fetched for the moment is not one that every challenger beats.
        lambda: judge(workspace, rows, challenger),
    ]
    for question in questions:
        with pytest.raises(
            ArtifactsUnreachable, match=r"s3://lake/mlflow/.* cannot be reached: Could not connect"
        ) as caught:
            question()
        assert caught.value.may_heal


@pytest.mark.slow
def test_a_bucket_that_is_not_there_is_said_in_a_sentence(s3: str, trained: Trained) -> None:
    with pytest.raises(ArtifactsUnreachable, match=r"s3://nowhere/rides/.*NoSuchBucket.*EVERFRESH_ARTIFACTS"):
        trained("s3://nowhere")


# --- Azure, as Azurite has it -------------------------------------------------------------------


@pytest.fixture(scope="module")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The connection string of an account `acme` that holds nothing."""
    program = shutil.which("azurite-blob")
    if program is None:
        pytest.skip("azurite-blob is not on PATH: `npm install --global azurite` brings it")
    port = unused_port()
    command = [program, "--blobHost", "127.0.0.1", "--blobPort", str(port), "--skipApiVersionCheck", "--silent"]
    server = subprocess.Popen(
        [*command, "--location", str(tmp_path_factory.mktemp("azurite")), "--disableTelemetry"],
        env=os.environ | {"AZURITE_ACCOUNTS": f"acme:{KEY}"},
        stdout=subprocess.DEVNULL,
    )
    try:
        wait_for(port, server)
        endpoint = f"http://127.0.0.1:{port}/acme"
        yield f"DefaultEndpointsProtocol=http;AccountName=acme;AccountKey={KEY};BlobEndpoint={endpoint};"
    finally:
        server.terminate()
        server.wait(timeout=20)


def wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    for _ in range(300):
        assert server.poll() is None, "azurite-blob ended"
        with socket.socket() as caller:
            if caller.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise TimeoutError("azurite-blob did not listen within 30 seconds")


@pytest.fixture
def azure(azurite: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The connection string of an account that holds an empty container `lake`; it is in the environment, too."""
    from azure.storage.blob import BlobServiceClient

    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", azurite)
    with BlobServiceClient.from_connection_string(azurite) as service:
        service.create_container("lake")
        yield azurite
        service.delete_container("lake")


@pytest.mark.slow
def test_a_version_lives_in_azure(azure: str, trained: Trained) -> None:
    from azure.storage.blob import ContainerClient

    workspace, version, verdict = trained(WASBS)

    assert verdict.passed, verdict.reason
    comes_back(workspace, version)
    with ContainerClient.from_connection_string(azure, "lake") as lake:
        names = [blob.name for blob in lake.list_blobs()]
    assert {name.rpartition("/")[2] for name in names} >= MLFLOW_FILES | {"bundle.json", "verdict.json"}
    assert all(name.startswith("team/everfresh/rides/") for name in names)
    assert not Path(workspace.settings.root / "mlruns" / "artifacts").exists()


@pytest.mark.slow
def test_a_key_that_azure_does_not_know_is_said_in_a_sentence_without_it(
    azure: str, trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = base64.b64encode(b"w" * 64).decode()
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", azure.replace(KEY, wrong))

    with pytest.raises(
        ArtifactsUnreachable, match=r"wasbs://lake@acme\S+ cannot be reached: Server failed to auth"
    ) as caught:
        trained(WASBS)
    assert wrong not in str(caught.value)


@pytest.mark.slow
def test_a_container_that_is_not_there_is_said_in_a_sentence(azure: str, trained: Trained) -> None:
    with pytest.raises(ArtifactsUnreachable, match="The specified container does not exist"):
        trained(WASBS.replace("lake", "nowhere"))


# --- where a project keeps them -----------------------------------------------------------------


def test_a_project_goes_on_where_it_began_and_says_so(registry: Registry, caplog: pytest.LogCaptureFixture) -> None:
    first = experiment_id(registry.client, "flights", "s3://lake/mlflow")
    for same in ("s3://lake/mlflow", "s3://lake/mlflow/"):
        assert experiment_id(registry.client, "flights", same) == first
    assert caplog.messages == []

    assert experiment_id(registry.client, "flights", WASBS) == first
    assert "Artifacts of flights still go to s3://lake/mlflow/flights" in caplog.text


# --- what is not installed ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("artifacts", "package", "extra"),
    [
        ("s3://lake/mlflow", "boto3", "aws"),
        (WASBS, "azure.storage.blob", "azure"),
        ("abfss://lake@acme.dfs.core.windows.net/mlflow", "azure.storage.filedatalake", "azure"),
    ],
)
def test_a_package_that_is_missing_is_said_before_anything_is_fitted(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, artifacts: str, package: str, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)

    with pytest.raises(MissingExtra, match=rf"{artifacts} needs the extra '{extra}'.*everfresh\[{extra}\]"):
        Registry(replace(settings, artifacts=artifacts))


def test_a_folder_needs_no_package(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("boto3", "azure.storage.blob", "azure.storage.filedatalake"):
        monkeypatch.setitem(sys.modules, package, None)

    check_store(settings.artifacts)


@pytest.mark.parametrize(("uri", "extra"), [("s3://lake/mlflow", "aws"), (WASBS, "azure")])
def test_a_version_from_elsewhere_whose_store_this_machine_cannot_talk_to_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, nobody: str, uri: str, extra: str
) -> None:
    monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", nobody)  # MLflow keeps a client for each

    for package in ("boto3", "azure.storage.blob"):
        monkeypatch.setitem(sys.modules, package, None)

    with pytest.raises(MissingExtra, match=rf"everfresh\[{extra}\]"), reaching(uri):
        get_artifact_repository(uri).list_artifacts()


def test_what_is_no_failure_of_the_store_stays_what_it_is() -> None:
    for error in (ValueError("a bug"), ModuleNotFoundError("no skops", name="skops"), MissingExtra("That", "dask")):
        with pytest.raises(type(error)) as caught, reaching("s3://lake/mlflow"):
            raise error
        assert caught.value is error


def test_a_signature_in_an_address_is_not_repeated() -> None:
    from azure.core.exceptions import ServiceRequestError

    said = "Failed to resolve https://acme.dfs.core.windows.net/lake?sv=2025&sig=hunter2 just now"
    with pytest.raises(EverfreshError) as caught, reaching("abfss://lake@acme.dfs.core.windows.net/mlflow"):
        raise ServiceRequestError(said)
    assert "hunter2" not in str(caught.value)
    assert "Failed to resolve https://acme.dfs.core.windows.net/lake just now" in str(caught.value)
