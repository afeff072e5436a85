"""FastAPI."""

from typing import Any

from fastapi import FastAPI
from served_model import load_pipeline, probabilities

app = FastAPI()
pipeline = load_pipeline()


@app.post("/predict")
def predict(columns: dict[str, list[Any]]) -> dict[str, list[list[float]]]:
    """A plain function: FastAPI runs it in a thread, as its documentation asks for work that blocks."""
    return {"predictions": probabilities(pipeline, columns)}
