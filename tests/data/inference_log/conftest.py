"""Rows of a small log, an hour's folder, and stores that files are shipped to."""

from __future__ import annotations

import base64
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from everfresh.data.columns import Column
from everfresh.data.inference_log import log_schema, write_rows
from everfresh.data.remote import file_system

COLUMNS = (Column("distance", "float"), Column("carrier", "category"))
HOUR = datetime(2013, 1, 5, 7, tzinfo=UTC)

Answered = Callable[..., pa.Table]
Written = Callable[..., list[str]]


@pytest.fixture(scope="session")
def answered() -> Answered:
    """Rows that were served: a second apart, unless their times are given."""

    def rows(
        ids: Sequence[str],
        *,
        at: datetime = HOUR,
        times: Sequence[datetime] | None = None,
        version: int = 1,
        variant: str = "default",
        late: float = 0.5,
        columns: Sequence[Column] = COLUMNS,
    ) -> pa.Table:
        known = {
            "id": list(ids),
            "time": list(times or [at + timedelta(seconds=row) for row in range(len(ids))]),
            "received": [at] * len(ids),
            "model": ["m"] * len(ids),
            "version": [version] * len(ids),
            "variant": [variant] * len(ids),
            "request_id": [f"r-{i}" for i in ids],
            "latency_s": [0.001] * len(ids),
            "x.distance": [1.5] * len(ids),
            "x.carrier": ["AA"] * len(ids),
            "p.0": [1 - late] * len(ids),
            "p.1": [late] * len(ids),
        }
        schema = log_schema(columns, ("0", "1"))
        return pa.table({name: known.get(name, [None] * len(ids)) for name in schema.names}, schema=schema)

    return rows


@pytest.fixture
def written(tmp_path: Path, answered: Answered) -> Written:
    """Write an hour's small files of two rows each; the ids in them."""

    def write(files: int, *, at: datetime = HOUR, version: int = 1, root: Path = tmp_path) -> list[str]:
        every = timedelta(hours=1) / files
        ids = [[f"v{version}-{at:%d%H}-{number}-{row}" for row in range(2)] for number in range(files)]
        for number, pair in enumerate(ids):
            write_rows(root, "m", answered(pair, at=at + number * every, version=version))
        return [one for pair in ids for one in pair]

    return write


@pytest.fixture(scope="session")
def s3() -> Iterator[dict[str, str]]:
    """The environment of a process whose log goes to an S3 of this machine."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    environment = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "id",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "us-east-1",
    }
    client = boto3.client(
        "s3",
        endpoint_url=environment["AWS_ENDPOINT_URL"],
        region_name="us-east-1",
        aws_access_key_id="id",
        aws_secret_access_key="secret",
    )
    client.create_bucket(Bucket="logs")
    yield environment
    server.stop()


@pytest.fixture(scope="session")
def azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of a process whose log goes to an Azure of this machine."""
    program = shutil.which("azurite-blob")
    if program is None:
        pytest.skip("azurite-blob is not on PATH: `npm install --global azurite` brings it")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    key = base64.b64encode(b"k" * 64).decode()
    command = [program, "--blobHost", "127.0.0.1", "--blobPort", str(port), "--skipApiVersionCheck", "--silent"]
    server = subprocess.Popen(
        [*command, "--location", str(tmp_path_factory.mktemp("azurite")), "--disableTelemetry"],
        env=os.environ | {"AZURITE_ACCOUNTS": f"acme:{key}"},
        stdout=subprocess.DEVNULL,
    )
    try:
        _wait_for(port, server)
        endpoint = f"http://127.0.0.1:{port}/acme"
        connection = f"DefaultEndpointsProtocol=http;AccountName=acme;AccountKey={key};BlobEndpoint={endpoint};"
        environment = {"AZURE_STORAGE_CONNECTION_STRING": connection}
        system, _ = file_system("abfss://logs@acme.dfs.core.windows.net/x", environment)
        system.create_dir("logs")
        yield environment
    finally:
        server.terminate()
        server.wait(timeout=20)


def _wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    for _ in range(300):
        assert server.poll() is None, "azurite-blob ended"
        with socket.socket() as caller:
            if caller.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise TimeoutError("azurite-blob did not listen within 30 seconds")
