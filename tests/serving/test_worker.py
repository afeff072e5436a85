"""What a worker that serves a compiled plan does not carry along."""

from __future__ import annotations

import json
import subprocess
import sys

import psutil
import pytest

from everfresh.serving.versions.state import bundle_directory

HEAVY = ("pandas", "sklearn", "scipy", "skops", "mlflow", "prefect", "onnx", "sqlalchemy", "fastapi")

ANSWER = """
import json, sys, time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
import everfresh.serving.worker
from everfresh.serving.dataplane import DataPlane
from everfresh.serving.metrics.exposition import exposition
from everfresh.serving.http import invocations, v2
from everfresh.serving.http.messages import Request
from everfresh.serving.inference import Asked
from everfresh.serving.versions.models import Choice
from everfresh.serving.metrics.counting import Metrics
from everfresh.serving.versions.models import ModelTable, load_model
from everfresh.serving.recording.recorder import Recorder

models, metrics = ModelTable(), Metrics()
recorder = Recorder(Path(sys.argv[2]), metrics)
plane = DataPlane(models, recorder, metrics, ThreadPoolExecutor(1))
model = load_model(Path(sys.argv[1]), "flights", 1)
columns = json.loads(sys.argv[3])
tensors = {"inputs": [{"name": name, "data": values} for name, values in columns.items()]}
answers = []
for codec, content in ((v2.CODEC, tensors), (invocations.CODEC, {"inputs": columns})):
    question = codec.read(Request("POST", "/", {}, json.dumps(content).encode(), "r"), model)
    answers.append(codec.write(plane.answer_now(Choice(model), Asked(question, "r", time.time_ns()))))
recorder.flush()
modules = sorted({name.split(".")[0] for name in sys.modules})
print(json.dumps([[answer.status for answer in answers], exposition(metrics.snapshot()), modules]))
"""


def test_a_request_is_answered_and_logged_without_any_heavy_library(root, plain, tmp_path):
    command = [
        sys.executable,
        "-c",
        ANSWER,
        str(bundle_directory(root, "flights", 1)),
        str(tmp_path),
        json.dumps(plain),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    statuses, metrics, modules = json.loads(done.stdout)
    assert statuses == [200, 200]
    assert 'everfresh_log_rows_total{outcome="written"} 80' in metrics
    assert [module for module in HEAVY if module in modules] == []


@pytest.mark.skipif(sys.platform != "linux", reason="reads what a process has mapped")
def test_a_real_worker_has_mapped_no_heavy_library(serve, root, plain, eventually):
    server = serve(root)
    assert server.post("/invocations", json={"inputs": plain}).status_code == 200
    eventually(lambda: list((root / "inference" / "flights" / "log").rglob("*.parquet")))
    (worker,) = server.workers()
    mapped = [part.path for part in psutil.Process(worker.pid).memory_maps()]
    assert any("onnxruntime" in path for path in mapped)
    assert [path for path in mapped if any(f"/{name}/" in path for name in HEAVY)] == []
