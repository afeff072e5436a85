from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from everfresh.data.inference_log import read_log, write_rows
from everfresh.serving.metrics.counting import LOG_FILES, Metrics
from everfresh.serving.recording import keeper as keeping
from everfresh.serving.recording.keeper import Keeper


@pytest.fixture
def s3() -> Iterator[dict[str, str]]:
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    keys = {"aws_access_key_id": "id", "aws_secret_access_key": "secret", "region_name": "us-east-1"}
    boto3.client("s3", endpoint_url=f"http://{host}:{port}", **keys).create_bucket(Bucket="logs")
    yield {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "id",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "us-east-1",
        "EVERFRESH_INFERENCE_LOG": "s3://logs",
    }
    server.stop()


def write(root: Path, *ids: str) -> None:
    moments = pa.array([datetime.now(UTC)] * len(ids), pa.timestamp("us", "UTC"))
    rows = {"id": list(ids), "time": moments, "received": moments, "version": [1] * len(ids)}
    write_rows(root, "flights", pa.table(rows))


def files(root: Path) -> list[Path]:
    return list(root.rglob("*.parquet"))


@pytest.mark.slow
def test_what_is_left_is_shipped_when_the_worker_ends(tmp_path, s3):
    metrics = Metrics()
    keeper = Keeper(tmp_path, metrics, s3)
    keeper.start()
    write(tmp_path, "a", "b")
    keeper.stop()
    assert files(tmp_path) == []
    assert sorted(read_log(tmp_path, "flights", environment=s3)["id"]) == ["a", "b"]
    assert metrics.snapshot().values[LOG_FILES.name] == {(("outcome", "shipped"),): 1}


def test_a_store_that_cannot_be_reached_is_told_once_and_the_files_stay(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(keeping, "LOOK_EVERY_S", 0.01)
    write(tmp_path, "a")
    keeper = Keeper(tmp_path, Metrics(), {"EVERFRESH_INFERENCE_LOG": "gs://logs"})
    keeper.start()
    time.sleep(0.3)
    keeper.stop()
    assert caplog.text.count("nothing here reads gs://") == 1
    assert len(files(tmp_path)) == 1


HANGING = """
import socket, sys, time
from pathlib import Path
from everfresh.serving.recording.keeper import Keeper
from everfresh.serving.metrics.counting import Metrics
import everfresh.serving.recording.keeper as k
k.LAST_SHIPPING_S = 0.3
silent = socket.create_server(("127.0.0.1", 0), backlog=50)
environment = {
    "AWS_ENDPOINT_URL": f"http://127.0.0.1:{silent.getsockname()[1]}", "AWS_ACCESS_KEY_ID": "id",
    "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-east-1", "EVERFRESH_INFERENCE_LOG": "s3://logs",
}
keeper = Keeper(Path(sys.argv[1]), Metrics(), environment)
keeper.start()
began = time.monotonic()
keeper.stop()
print(time.monotonic() - began)
"""


@pytest.mark.slow
def test_a_store_that_says_nothing_does_not_hold_up_the_end_of_the_worker(tmp_path):
    write(tmp_path, "a")
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", HANGING, str(tmp_path)], capture_output=True, text=True, timeout=60, check=True
    )
    assert float(done.stdout) < 3
    assert time.monotonic() - began < 20
    assert len(files(tmp_path)) == 1
