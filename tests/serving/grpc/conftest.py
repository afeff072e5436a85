"""A gRPC server in this process, with real models, and calls by the names of methods."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from everfresh.serving.dataplane import DataPlane
from everfresh.serving.grpc.messages import message, signature
from everfresh.serving.grpc.server import GrpcOptions, GrpcServer
from everfresh.serving.metrics.counting import Metrics
from everfresh.serving.recording.recorder import Recorder
from everfresh.serving.versions.models import ModelTable, ServedModel, load_model
from everfresh.serving.versions.state import bundle_directory, install_bundle
from everfresh.serving.versions.traffic import Split

# It is run by another Python.
collect_ignore = ["official_client.py"]


class Running:
    """A server and a channel to it."""

    def __init__(
        self,
        server: GrpcServer,
        loop: asyncio.AbstractEventLoop,
        threads: ThreadPoolExecutor,
        port: int,
        metrics: Metrics,
    ) -> None:
        self.server = server
        self.threads = threads
        self.loop = loop
        self.port = port
        self.metrics = metrics
        self.channel = grpc.insecure_channel(f"127.0.0.1:{port}")

    def send(self, service: str, method: str, data: bytes, **options: Any) -> tuple[bytes, dict[str, str]]:
        """The bytes of the answer, and what was said at the end of the call."""
        response, call = self.channel.unary_unary(f"/{service}/{method}").with_call(
            data, timeout=options.pop("timeout", 10), **options
        )
        return response, dict(call.trailing_metadata())

    def call(self, service: str, method: str, request: Any, **options: Any) -> Any:
        """The answer of a method."""
        response, _ = self.send(service, method, request.SerializeToString(), **options)
        return signature(service, method).response.FromString(response)

    def refusal(self, service: str, method: str, request: Any, **options: Any) -> tuple[str, str]:
        """The status and the sentence of a call that is refused."""
        with pytest.raises(grpc.RpcError) as refused:
            self.call(service, method, request, **options)
        return refused.value.code().name, refused.value.details()

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self.server.stop(), self.loop).result(20)


@contextmanager
def running(models: ModelTable, log: Path, admit: Callable[..., object], tls: Any = None) -> Iterator[Running]:
    """Serve models until the end."""
    metrics, threads = Metrics(), ThreadPoolExecutor(2)
    recorder = Recorder(log, metrics)
    recorder.start()
    plane = DataPlane(models, recorder, metrics, threads)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    server = GrpcServer(GrpcOptions("127.0.0.1", 0, tls), plane, lambda: models.is_complete, metrics, threads, admit)
    try:
        port = asyncio.run_coroutine_threadsafe(server.start(), loop).result(20)
        run = Running(server, loop, threads, port, metrics)
        try:
            yield run
        finally:
            run.channel.close()
            run.stop()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(20)
        loop.close()
        plane.close()
        recorder.stop()
        threads.shutdown()


@pytest.fixture(scope="session")
def models(v1, v2, minutes, neighbours, tmp_path_factory) -> ModelTable:
    """Flights in versions 1 and 2, of which 1 is the default and 2 is called canary, and two models of one version."""
    root = tmp_path_factory.mktemp("models") / "root"
    table = ModelTable()
    for fitted, versions in ((v1, (1,)), (v2, (2,)), (minutes, (1,)), (neighbours, (1,))):
        for version in versions:
            install_bundle(root, fitted.bundle, version=version)
    loaded = {
        (name, version): load_model(bundle_directory(root, name, version), name, version)
        for name, version in (("flights", 1), ("flights", 2), ("minutes", 1), ("neighbours", 1))
    }
    flights = {version: model for (name, version), model in loaded.items() if name == "flights"}
    table.swap_in(ServedModel(flights[1], flights, Split("flights", {}), aliases={"canary": 2}))
    for name in ("minutes", "neighbours"):
        table.swap_in(ServedModel(loaded[name, 1], {1: loaded[name, 1]}, Split(name, {})))
    table.is_complete = True
    return table


@pytest.fixture(scope="session")
def log(tmp_path_factory) -> Path:
    """Where the shared server writes its inferences."""
    return tmp_path_factory.mktemp("log")


@pytest.fixture(scope="session")
def shared(models, log) -> Iterator[Running]:
    """One server for tests that only ask."""
    with running(models, log, lambda authorization, needs: None) as run:
        yield run


@pytest.fixture(name="running", scope="session")
def _running() -> Callable[..., Any]:
    return running


@pytest.fixture(scope="session")
def tensors(plain) -> Callable[..., Any]:
    """A ModelInferRequest with the first rows of the table; their numbers typed, what is missing said by `missing`."""

    def build(rows: int = 40, **fields: Any) -> Any:
        request = message("inference.ModelInferRequest")(**{"model_name": "flights", **fields})
        request.parameters["missing"].string_param = "?"
        columns = {name: values[:rows] for name, values in plain.items()}
        for name, datatype, field, values in (
            ("distance", "FP64", "fp64_contents", [float("nan") if v is None else v for v in columns["distance"]]),
            ("stops", "INT64", "int64_contents", columns["stops"]),
            ("weekend", "BOOL", "bool_contents", columns["weekend"]),
            ("carrier", "BYTES", "bytes_contents", [b"?" if v is None else v.encode() for v in columns["carrier"]]),
            ("booked_at", "BYTES", "bytes_contents", [b"?" if v is None else v.encode() for v in columns["booked_at"]]),
        ):
            tensor = request.inputs.add(name=name, datatype=datatype, shape=[rows])
            getattr(tensor.contents, field).extend(values)
        return request

    return build
