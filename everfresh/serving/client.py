"""A small client of the inference server, for targets, gates and replays.

It speaks the Open Inference Protocol V2 with JSON, one tensor per column, so any V2 server with the same
columns would do. It needs neither pandas nor scikit-learn; a DataFrame is accepted all the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Any

import httpx
import numpy as np
import orjson
from numpy.typing import NDArray

from everfresh.errors import EndpointRefused, EndpointUnreachable, MixedVersions
from everfresh.serving.decoding import ID_TENSOR, TIME_TENSOR

CHUNK_ROWS = 500
TIMEOUT_S = 30.0


@dataclass(frozen=True)
class ServedModel:
    """What an endpoint says about one of its models."""

    name: str
    version: int
    task: str
    classes: tuple[str, ...]
    columns: tuple[str, ...]
    id_column: str | None
    time_column: str | None
    path: str
    path_reason: str
    digest: str


@dataclass(frozen=True)
class Prediction:
    """Answers of an endpoint, row by row.

    Attributes:
        answer: probabilities [rows, classes] for classification, values [rows] for regression; float64.
        ids: the id of every row: those that were sent, or those that the server made.
        versions: the version that answered each row; they differ only where a swap happened in between.
    """

    answer: NDArray[np.float64]
    ids: tuple[str, ...]
    versions: NDArray[np.int64]

    @property
    def version(self) -> int:
        """The one version that answered.

        Raises:
            MixedVersions: it was more than one.
        """
        found = np.unique(self.versions)
        if len(found) != 1:
            raise MixedVersions(found.tolist())
        return int(found[0])


class Endpoint:
    """One inference server at a URL. Use it as a context manager, or close it.

    >>> with Endpoint("http://127.0.0.1:8080") as endpoint:  # doctest: +SKIP
    ...     endpoint.predict("flights", {"carrier": ["AA"], "distance": [764.0]}).answer
    array([[0.79, 0.21]])
    """

    def __init__(self, url: str, *, timeout_s: float = TIMEOUT_S, transport: httpx.BaseTransport | None = None) -> None:
        self.url = url.rstrip("/")
        self._http = httpx.Client(base_url=self.url, timeout=timeout_s, transport=transport)
        self._models: dict[str, ServedModel] = {}

    def ready(self) -> bool:
        """Whether the endpoint answers and serves what it was asked to serve; an unreachable one is not ready."""
        try:
            return self._http.get("/v2/health/ready").status_code == 200
        except httpx.HTTPError:
            return False

    def versions(self) -> dict[str, int]:
        """The models that are served, and the version of each."""
        return {model["name"]: int(model["version"]) for model in self._call("GET", "/v2/models")["models"]}

    def model(self, name: str) -> ServedModel:
        """What the endpoint says about the version of a model that it serves now.

        Raises:
            EndpointRefused: it serves no model of that name.
            EndpointUnreachable: it does not answer.
        """
        content = self._call("GET", f"/v2/models/{name}")
        facts = content["parameters"]
        return ServedModel(
            name=content["name"],
            version=int(content["versions"][0]),
            task=facts["task"],
            classes=tuple(facts["classes"]),
            columns=tuple(tensor["name"] for tensor in content["inputs"]),
            id_column=facts["id_column"],
            time_column=facts["time_column"],
            path=facts["path"],
            path_reason=facts["path_reason"],
            digest=facts["digest"],
        )

    def predict(
        self,
        name: str,
        columns: Mapping[str, Sequence[Any] | NDArray[Any]] | Any,
        *,
        ids: Sequence[str] | None = None,
        times: Sequence[datetime | str] | None = None,
        version: int | None = None,
        chunk_rows: int = CHUNK_ROWS,
    ) -> Prediction:
        """The answers to rows, in their order.

        Args:
            name: the model.
            columns: a mapping of column names to values, or a DataFrame; None and NaN are missing values. Columns
                that the model does not know are refused by the server, not dropped here.
            ids: the id of every row, by which its label comes back; the project's id column in `columns` does as well.
            times: the time of every row, for the inference log; a naive one is taken as UTC.
            version: ask for this version only; the server refuses when it serves another one.
            chunk_rows: rows in one request.

        Raises:
            EndpointRefused: the server says that the rows or the model are not what it can answer.
            EndpointUnreachable: the server does not answer.
        """
        table = {str(column): _plain(columns[column]) for column in columns}
        if ids is not None:
            table[ID_TENSOR] = list(ids)
        if times is not None:
            table[TIME_TENSOR] = [_text(time) for time in times]
        rows = len(next(iter(table.values()), ()))
        path = f"/v2/models/{name}" + (f"/versions/{version}" if version is not None else "") + "/infer"
        chunks = [
            self._infer(path, {column: values[start : start + chunk_rows] for column, values in table.items()})
            for start in range(0, rows, chunk_rows)
        ]
        return Prediction(
            answer=np.concatenate([chunk.answer for chunk in chunks]) if chunks else np.empty(0),
            ids=tuple(ids) if ids is not None else tuple(made for chunk in chunks for made in chunk.ids),
            versions=np.concatenate([chunk.versions for chunk in chunks]) if chunks else np.empty(0, np.int64),
        )

    def send_labels(self, name: str, ids: Sequence[str], labels: Sequence[Any], *, chunk_rows: int = 5000) -> int:
        """Send back what really happened, by id; the number of labels that were accepted."""
        accepted = 0
        for start in range(0, len(ids), chunk_rows):
            pairs = zip(ids[start : start + chunk_rows], labels[start : start + chunk_rows], strict=True)
            body = _dumps({"labels": [{"id": row_id, "label": label} for row_id, label in pairs]})
            accepted += int(self._call("POST", f"/v2/models/{name}/labels", body)["accepted"])
        return accepted

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Endpoint:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _infer(self, path: str, columns: Mapping[str, Any]) -> Prediction:
        content = self._call(
            "POST", path, _dumps({"inputs": [_tensor(name, values) for name, values in columns.items()]})
        )
        outputs = {tensor["name"]: tensor for tensor in content["outputs"]}
        answer = outputs.get("probabilities") or outputs["value"]
        values = np.asarray(answer["data"], dtype=np.float64).reshape(answer["shape"])
        ids = tuple(outputs["id"]["data"]) if "id" in outputs else ()
        return Prediction(values, ids, np.full(len(values), int(content["model_version"])))

    def _call(self, method: str, path: str, body: bytes | None = None) -> Any:
        headers = {"content-type": "application/json"} if body is not None else {}
        try:
            response = self._http.request(method, path, content=body, headers=headers)
        except httpx.HTTPError as error:
            raise EndpointUnreachable(self.url, str(error) or type(error).__name__) from error
        try:
            content = orjson.loads(response.content)
        except orjson.JSONDecodeError as error:
            raise EndpointRefused(self.url, response.status_code, "not_json", response.text[:200]) from error
        if response.status_code >= 400:
            raise EndpointRefused(self.url, response.status_code, *_reason(content))
        return content


def _reason(content: Any) -> tuple[str, str]:
    error = content.get("error") if isinstance(content, dict) else None
    if isinstance(error, dict):
        return str(error.get("code", "error")), str(error.get("message", ""))
    return "error", str(error or content)[:200]


def _plain(values: Any) -> Any:
    """An array or a list: a pandas Series slices by its index, and that is not what a chunk means."""
    if hasattr(values, "to_numpy"):
        values = values.to_numpy()
    if isinstance(values, np.ndarray) and values.dtype.kind not in "fiub":
        return values.tolist() if values.dtype.kind != "M" else [_text(value) for value in values]
    return values


def _tensor(name: str, values: Any) -> dict[str, Any]:
    return {"name": name, "shape": [len(values)], "datatype": _datatype(values), "data": values}


def _datatype(values: Any) -> str:
    """The V2 name of what the values are; a column without any value counts as numbers, all of them missing."""
    if isinstance(values, np.ndarray):
        return {"f": "FP64", "i": "INT64", "u": "INT64", "b": "BOOL"}[values.dtype.kind]
    kinds = {type(value) for value in values if value is not None and value == value}
    if not kinds <= {bool, int, float}:
        return "BYTES"
    if bool in kinds:
        return "BOOL"
    return "INT64" if kinds == {int} else "FP64"


def _text(time: Any) -> str | None:
    if time is None or time != time:
        return None
    return time.isoformat() if hasattr(time, "isoformat") else str(time)


def _dumps(content: Any) -> bytes:
    # orjson writes NaN as null, which is how a missing value travels.
    return orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS, default=_missing)


def _missing(value: Any) -> Any:
    """What orjson cannot write: pandas' NA and NaT are missing values, numpy's scalars are what they hold."""
    if isinstance(value, np.generic):
        return value.item()
    if type(value).__name__ in ("NAType", "NaTType"):
        return None
    raise TypeError(f"{type(value).__name__} cannot be sent to an endpoint")
