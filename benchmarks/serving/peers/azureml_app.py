"""The scoring script of azureml-inference-server-http."""

import json
from typing import Any

from served_model import load_pipeline, probabilities


def init() -> None:
    """Load the model once in each worker."""
    global pipeline
    pipeline = load_pipeline()


def run(raw_data: str) -> dict[str, Any]:
    """The answer to one request."""
    return {"predictions": probabilities(pipeline, json.loads(raw_data))}
