"""MLServer: a folder with its settings and the pipeline in the form that its scikit-learn runtime reads."""

import json
import sys
from pathlib import Path

import joblib
from served_model import load_pipeline

port, folder = int(sys.argv[1]), Path(sys.argv[2])
folder.mkdir(parents=True, exist_ok=True)
joblib.dump(load_pipeline(), folder / "model.joblib")
settings = {
    "host": "127.0.0.1",
    "http_port": port,
    "grpc_port": port + 1,
    "metrics_port": port + 2,
    "parallel_workers": 2,
    "debug": False,
}
(folder / "settings.json").write_text(json.dumps(settings))
model = {
    "name": "benchmark",
    "implementation": "mlserver_sklearn.SKLearnModel",
    "parameters": {"uri": "./model.joblib"},
    "max_batch_size": 64,
    "max_batch_time": 0.005,
}
(folder / "model-settings.json").write_text(json.dumps(model))
