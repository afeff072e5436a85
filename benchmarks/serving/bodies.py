"""The ways to write rows into a request and to read probabilities out of an answer."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import ipc

from benchmarks.serving.models import NUMBERS

JSON = {"Content-Type": "application/json"}
_ARROW = "application/vnd.apache.arrow.stream"
# An Arrow stream has no place for a parameter, so SageMaker's header asks for probabilities.
ARROW = {"Content-Type": _ARROW, "Accept": _ARROW, "X-Amzn-SageMaker-Custom-Attributes": "probabilities=true"}

Write = Callable[[pd.DataFrame], bytes]
Read = Callable[[bytes], np.ndarray]


def columns(rows: pd.DataFrame) -> bytes:
    """One list of values per column."""
    return _json(rows.to_dict("list"))


def list_of_rows(rows: pd.DataFrame) -> bytes:
    """`{"rows": [[...]]}`."""
    return _json({"rows": rows.to_numpy(object).tolist()})


def dataframe_split(rows: pd.DataFrame) -> bytes:
    """MLflow's form of a table."""
    return _json({"dataframe_split": {"columns": list(rows), "data": rows.to_numpy(object).tolist()}})


def everfresh_rows(rows: pd.DataFrame) -> bytes:
    """MLflow's rows by position, with everfresh's parameter that asks for probabilities."""
    return _json({"instances": rows.to_numpy(object).tolist(), "params": {"probabilities": True}})


def everfresh_columns(rows: pd.DataFrame) -> bytes:
    """MLflow's columns by name, with everfresh's parameter that asks for probabilities."""
    return _json({"inputs": rows.to_dict("list"), "params": {"probabilities": True}})


def v2(rows: pd.DataFrame) -> bytes:
    """The Open Inference Protocol: a tensor per column."""
    return _json(_v2(rows))


def v2_with_pandas(rows: pd.DataFrame) -> bytes:
    """The same for MLServer, which is told to make a frame of it and to answer with probabilities."""
    asked = {"parameters": {"content_type": "pd"}, "outputs": [{"name": "predict_proba"}]}
    request = _v2(rows, content_type="str")
    return _json({**request, **asked})


def arrow(rows: pd.DataFrame) -> bytes:
    """An Arrow stream with dictionary-encoded categories."""
    arrays = [
        pa.array(rows[name].to_numpy()) if name in NUMBERS else pa.array(rows[name].tolist()).dictionary_encode()
        for name in rows
    ]
    batch = pa.record_batch(arrays, names=list(rows))
    sink = io.BytesIO()
    with ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return sink.getvalue()


def predictions(body: bytes) -> np.ndarray:
    """`{"predictions": [[...]]}`."""
    return _rows(json.loads(body)["predictions"])


def bare(body: bytes) -> np.ndarray:
    """A list of rows and nothing around it."""
    return _rows(json.loads(body))


def first_tensor(body: bytes) -> np.ndarray:
    """The first output of the Open Inference Protocol."""
    output = json.loads(body)["outputs"][0]
    return np.array(output["data"], dtype=float).reshape(output["shape"])


def either(body: bytes) -> np.ndarray:
    """An Arrow stream of probabilities, or JSON, by what it begins with."""
    if body.lstrip()[:1] == b"{":
        return predictions(body)
    return _rows(ipc.open_stream(body).read_all().column("predictions").to_pylist())


def _v2(rows: pd.DataFrame, content_type: str | None = None) -> dict[str, Any]:
    tensors: list[dict[str, Any]] = []
    for name in rows:
        tensor = {
            "name": name,
            "shape": [len(rows), 1],
            "datatype": "FP64" if name in NUMBERS else "BYTES",
            "data": rows[name].tolist(),
        }
        if content_type is not None and name not in NUMBERS:
            tensor["parameters"] = {"content_type": content_type}
        tensors.append(tensor)
    return {"inputs": tensors}


def _rows(values: Any) -> np.ndarray:
    return np.array(values, dtype=float)


def _json(content: Any) -> bytes:
    return json.dumps(content, separators=(",", ":")).encode()
