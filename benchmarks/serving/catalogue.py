"""Who takes part, each at the setting that its own documentation recommends, with two workers on two cores."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.serving import bodies
from benchmarks.serving.environments import python_of

WORKERS = 2
APPS = Path(__file__).parent / "peers"


@dataclass(frozen=True)
class Place:
    """Where one server is started.

    Attributes:
        port: where it listens, on 127.0.0.1.
        stored: the directory of the fitted pipeline.
        root: the root of an everfresh server with the model.
        work: an empty directory of its own.
        model: the name of the model.
    """

    port: int
    stored: Path
    root: Path
    work: Path
    model: str


Command = Callable[[Place], list[str]]


@dataclass(frozen=True)
class Contestant:
    """A server that is measured.

    Attributes:
        name: its name in commands, and of its environment.
        title: its name for people.
        package: whose version is told; the first line of its pins if it has an environment.
        setting: what was set, in words.
        command: what starts it.
        path: where it is asked.
        write: how one row, or a batch as JSON, is written for it.
        read: how its answer is read.
        write_batch: how a batch is written, where that is another form.
        prepare: what is run before, once, not counted as start.
        environment: added to the environment of the process.
        listens_everywhere: it cannot be told to listen on 127.0.0.1 only.
        is_floor: it answers without a model.
        arrow: it also reads batches as Arrow streams.
    """

    name: str
    title: str
    package: str
    setting: str
    command: Command
    path: Callable[[str], str]
    write: bodies.Write
    read: bodies.Read
    write_batch: bodies.Write | None = None
    prepare: Command | None = None
    environment: Callable[[Place], Mapping[str, str]] = field(default=lambda place: {})
    listens_everywhere: bool = False
    is_floor: bool = False
    arrow: bool = False

    @property
    def is_peer(self) -> bool:
        """Whether it is somebody else's server, in an environment of its own."""
        return self.name not in ("everfresh", "echo")


def _own(*arguments: str) -> Command:
    return lambda place: [sys.executable, *(argument.format(**vars(place)) for argument in arguments)]


def _theirs(peer: str, *arguments: str) -> Command:
    def command(place: Place) -> list[str]:
        python = python_of(peer)
        words = [word.format(apps=APPS, bin=python.parent, **vars(place)) for word in arguments]
        # A console script has its interpreter in its first line.
        return words if arguments[0].startswith("{bin}") else [str(python), *words]

    return command


def _always(path: str) -> Callable[[str], str]:
    return lambda model: path


CONTESTANTS = (
    Contestant(
        name="everfresh",
        title="everfresh",
        package="everfresh",
        setting="2 workers; validation, metrics and the inference log on, as by default",
        command=_own("-m", "everfresh.serving", "--root", "{root}", "--port", "{port}", "--workers", str(WORKERS)),
        path=_always("/invocations"),
        write=bodies.everfresh_rows,
        write_batch=bodies.everfresh_columns,
        read=bodies.either,
        arrow=True,
    ),
    Contestant(
        name="echo",
        title="bare echo",
        package="granian",
        setting="granian, RSGI, 2 workers: reads the body and sends an answer of everfresh's back, without looking",
        command=_own(str(APPS.with_name("echo.py")), "{port}", "{work}"),
        path=_always("/invocations"),
        write=bodies.everfresh_rows,
        write_batch=bodies.everfresh_columns,
        read=bodies.either,
        is_floor=True,
    ),
    Contestant(
        name="fastapi",
        title="FastAPI + uvicorn",
        package="fastapi",
        setting="2 uvicorn workers, uvloop, httptools, no access log",
        command=_theirs(
            "fastapi", "-m", "uvicorn", "fastapi_app:app", "--host", "127.0.0.1", "--port", "{port}",
            "--workers", str(WORKERS), "--loop", "uvloop", "--http", "httptools", "--no-access-log",
        ),
        path=_always("/predict"),
        write=bodies.columns,
        read=bodies.predictions,
    ),
    Contestant(
        name="bentoml",
        title="BentoML",
        package="bentoml",
        setting="2 workers, adaptive batching",
        command=_theirs(
            "bentoml", "-m", "bentoml", "serve", "bentoml_app:Classifier", "--host", "127.0.0.1", "--port", "{port}",
            "--working-dir", "{apps}",
        ),
        path=_always("/predict"),
        write=bodies.list_of_rows,
        read=bodies.bare,
        environment=lambda place: {"BENTOML_DO_NOT_TRACK": "True", "BENTOML_HOME": str(place.work / "bentoml")},
    ),
    Contestant(
        name="litserve",
        title="LitServe",
        package="litserve",
        setting="2 workers, 2 API servers, batches of up to 64 within 5 ms, fast queue off",
        command=_theirs("litserve", "{apps}/litserve_app.py", "{port}"),
        path=_always("/predict"),
        write=bodies.columns,
        read=bodies.predictions,
    ),
    Contestant(
        name="mlserver",
        title="MLServer",
        package="mlserver",
        setting="scikit-learn runtime, 2 parallel workers, adaptive batching",
        command=_theirs("mlserver", "{bin}/mlserver", "start", "{work}"),
        prepare=_theirs("mlserver", "{apps}/mlserver_prepare.py", "{port}", "{work}"),
        path=_always("/v2/models/benchmark/infer"),
        write=bodies.v2_with_pandas,
        read=bodies.first_tensor,
    ),
    Contestant(
        name="mlflow",
        title="mlflow models serve",
        package="mlflow",
        setting="2 workers, scikit-learn flavour with predict_proba, no access log",
        command=_theirs(
            "mlflow", "{bin}/mlflow", "models", "serve", "-m", "{work}/model", "--env-manager", "local",
            "-h", "127.0.0.1", "-p", "{port}", "-w", str(WORKERS),
        ),
        prepare=_theirs("mlflow", "{apps}/mlflow_prepare.py", "{work}/model"),
        path=_always("/invocations"),
        write=bodies.dataframe_split,
        read=bodies.predictions,
        environment=lambda place: {"MLFLOW_DISABLE_TELEMETRY": "true", "UVICORN_ACCESS_LOG": "false"},
    ),
    Contestant(
        name="azureml",
        title="azureml-inference-server-http",
        package="azureml-inference-server-http",
        setting="2 gunicorn workers",
        command=_theirs("azureml", "{bin}/azmlinfsrv", "--entry_script", "{apps}/azureml_app.py", "--port", "{port}"),
        path=_always("/score"),
        write=bodies.columns,
        read=bodies.predictions,
        environment=lambda place: {"WORKER_COUNT": str(WORKERS), "AML_APP_ROOT": str(place.work)},
        listens_everywhere=True,
    ),
    Contestant(
        name="kserve",
        title="KServe's Python server",
        package="kserve",
        setting="2 workers, no gRPC, no latency log",
        command=_theirs("kserve", "{apps}/kserve_app.py", "{port}"),
        path=_always("/v2/models/benchmark/infer"),
        write=bodies.v2,
        read=bodies.first_tensor,
        listens_everywhere=True,
    ),
    Contestant(
        name="ray",
        title="Ray Serve",
        package="ray",
        setting="2 replicas, batches of up to 64 within 5 ms",
        command=_theirs("ray", "{apps}/ray_app.py", "{port}"),
        path=_always("/"),
        write=bodies.columns,
        read=bodies.predictions,
        environment=lambda place: {
            # Not deeper: the path of a socket in there has at most 107 characters.
            "RAY_TMPDIR": str(place.work.parents[1]),
            "RAY_USAGE_STATS_ENABLED": "0",
        },
        listens_everywhere=True,
    ),
)  # fmt: skip

NOT_RUN = {
    "Triton, ONNX backend": (
        "no package brings the server: nvidia-pytriton 0.7.0 has no ONNX backend in its wheel, and tritonserver 2.73.0 "
        "(cp312, glibc 2.39) holds 276 kB of Python bindings for a server that comes with NVIDIA's images"
    ),
}
"""What was looked at and could not be started, with the reason."""
