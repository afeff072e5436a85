"""A small client of the inference server, for targets, gates and replays.

It speaks the Open Inference Protocol V2 with JSON, one tensor per column, so any V2 server with the same
columns would do. It needs neither pandas nor scikit-learn; a DataFrame is accepted all the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from types import TracebackType
from typing import Any

import httpx
import numpy as np
import orjson
from numpy.typing import NDArray

from everfresh.errors import EndpointRefused, EndpointUnreachable, MixedVersions
from everfresh.serving.questions.decoding import ID_TENSOR, TIME_TENSOR

CHUNK_ROWS = 500
TIMEOUT_S = 30.0

_JSON_TYPES = frozenset({str, int, bool, type(None)})


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

    Args:
        url: where its paths begin.
        timeout_s: how long to wait for an answer.
        key: the API key or the token to send, where the server asks for one.
        transport: what carries the requests, for tests.

    >>> with Endpoint("http://127.0.0.1:8080") as endpoint:  # doctest: +SKIP
    ...     endpoint.predict("flights", {"carrier": ["AA"], "distance": [764.0]}).answer
    array([[0.79, 0.21]])
    """

    def __init__(
        self,
        url: str,
        *,
        timeout_s: float = TIMEOUT_S,
        key: str | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.url = url.rstrip("/")
        known = {"authorization": f"Bearer {key}"} if key is not None else {}
        self._http = httpx.Client(base_url=self.url, timeout=timeout_s, headers=known, transport=transport)

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

    def describe(self, name: str, version: int | None = None) -> dict[str, Any]:
        """All that the endpoint says about the default version of a model or another one, as V2 has it.

        Raises:
            EndpointRefused: it serves no such model or version.
            EndpointUnreachable: it does not answer.
        """
        path = f"/v2/models/{name}" + (f"/versions/{version}" if version is not None else "")
        described: dict[str, Any] = self._call("GET", path)
        return described

    def metrics(self) -> str:
        """The numbers that the endpoint counted since it started, in Prometheus' text format.

        Raises:
            EndpointRefused: it does not tell them.
            EndpointUnreachable: it does not answer.
        """
        response = self._request("GET", "/metrics")
        if response.status_code != 200:
            raise EndpointRefused(self.url, response.status_code, "no_metrics", response.text[:200])
        return response.text

    def predict(
        self,
        name: str,
        columns: Mapping[str, Sequence[Any] | NDArray[Any]] | Any,
        *,
        ids: Sequence[str] | None = None,
        times: Sequence[datetime | str] | None = None,
        version: int | None = None,
        record: bool = True,
        chunk_rows: int = CHUNK_ROWS,
    ) -> Prediction:
        """The answers to rows, in their order.

        Args:
            name: the model.
            columns: a mapping of column names to values, or a DataFrame; None, NaN and NaT are missing values, naive
                times are UTC. Columns that the model does not know are refused by the server, not dropped here.
            ids: the id of every row, by which its label comes back; the project's id column in `columns` does as well.
            times: the time of every row, for the inference log; a naive one is taken as UTC.
            version: ask for this version only; the server refuses when it serves another one.
            record: whether the rows are traffic; a question about the server itself stays out of the inference log.
            chunk_rows: rows in one request.

        Raises:
            EndpointRefused: the server says that the rows or the model are not what it can answer.
            EndpointUnreachable: the server does not answer.
            ValueError: the columns differ in length.
        """
        table = [wire_column(str(column), columns[column]) for column in columns]
        table += [wire_column(ID_TENSOR, ids)] if ids is not None else []
        table += [wire_column(TIME_TENSOR, times)] if times is not None else []
        rows = {len(column.values) for column in table}
        if len(rows) > 1:
            raise ValueError(f"The columns differ in length: {', '.join(map(str, sorted(rows)))} values.")
        path = f"/v2/models/{name}" + (f"/versions/{version}" if version is not None else "") + "/infer"
        chunks = [
            self._infer(path, [column.tensor(start, start + chunk_rows) for column in table], record)
            for start in range(0, max(rows, default=0), chunk_rows)
        ]
        return Prediction(
            answer=np.concatenate([chunk.answer for chunk in chunks]) if chunks else np.empty(0),
            ids=tuple(ids) if ids is not None else tuple(made for chunk in chunks for made in chunk.ids),
            versions=np.concatenate([chunk.versions for chunk in chunks]) if chunks else np.empty(0, np.int64),
        )

    def send_labels(self, name: str, ids: Sequence[str], labels: Sequence[Any], *, chunk_rows: int = 5000) -> int:
        """Send back what really happened, by id; the number of labels that were accepted."""
        pairs = [
            {"id": row_id, "label": label}
            for row_id, label in zip(_plain_list(list(ids)), _plain_list(list(labels)), strict=True)
        ]
        accepted = 0
        for start in range(0, len(pairs), chunk_rows):
            body = _dumps({"labels": pairs[start : start + chunk_rows]})
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

    def _infer(self, path: str, tensors: Sequence[Mapping[str, Any]], record: bool) -> Prediction:
        body = {"inputs": tensors} if record else {"inputs": tensors, "parameters": {"record": False}}
        content = self._call("POST", path, _dumps(body))
        outputs = {tensor["name"]: tensor for tensor in content["outputs"]}
        answer = outputs.get("probabilities") or outputs["value"]
        values = np.asarray(answer["data"], dtype=np.float64).reshape(answer["shape"])
        ids = tuple(outputs["id"]["data"]) if "id" in outputs else ()
        return Prediction(values, ids, np.full(len(values), int(content["model_version"])))

    def _request(self, method: str, path: str, body: bytes | None = None) -> httpx.Response:
        headers = {"content-type": "application/json"} if body is not None else {}
        try:
            return self._http.request(method, path, content=body, headers=headers)
        except httpx.HTTPError as error:
            raise EndpointUnreachable(self.url, str(error) or type(error).__name__) from error

    def _call(self, method: str, path: str, body: bytes | None = None) -> Any:
        response = self._request(method, path, body)
        try:
            content = orjson.loads(response.content)
        except orjson.JSONDecodeError as error:
            raise EndpointRefused(self.url, response.status_code, "not_json", response.text[:200]) from error
        if response.status_code >= 400:
            raise EndpointRefused(self.url, response.status_code, *_reason(content))
        return content


def _reason(content: Any) -> tuple[str, str]:
    """The code and the sentence of an error; other V2 servers give the sentence alone."""
    if not isinstance(content, dict):
        return "error", str(content)[:200]
    return str(content.get("code", "error")), str(content.get("error", content))


@dataclass(frozen=True)
class WireColumn:
    """A column as it is sent: an array of float64, integers or booleans, or a list of plain values."""

    name: str
    datatype: str
    values: Any

    def tensor(self, start: int, stop: int) -> dict[str, Any]:
        """The V2 tensor of some of its rows."""
        values = self.values[start:stop]
        return {"name": self.name, "shape": [len(values)], "datatype": self.datatype, "data": values}


def wire_column(name: str, values: Any) -> WireColumn:
    """A sequence, an array or a pandas Series as it is sent; done once for all chunks.

    Times in an array are sent as seconds since 1970, which is what the model sees of them.
    """
    array = values if isinstance(values, np.ndarray) else _array(values)
    if array is None or array.dtype.kind not in "fiubM":
        plain = _plain_list(list(values) if array is None else array.tolist())
        return WireColumn(name, _datatype(plain), plain)
    if array.dtype.kind == "M":
        array = _epoch_seconds(array)
    if array.dtype.kind == "f":
        # As float32 writes them, 0.1 would become another number than the one that the column holds.
        array = array.astype(np.float64)
    datatype = {"f": "FP64", "i": "INT64", "u": "INT64", "b": "BOOL"}[array.dtype.kind]
    return WireColumn(name, datatype, np.ascontiguousarray(array))


def _array(values: Any) -> NDArray[Any] | None:
    """The array of a pandas Series; None for anything else."""
    if not hasattr(values, "to_numpy"):
        return None
    if getattr(values.dtype, "tz", None) is not None:
        values = values.dt.tz_convert("UTC").dt.tz_localize(None)
    array: NDArray[Any] = values.to_numpy()
    return array


def _epoch_seconds(times: NDArray[Any]) -> NDArray[np.float64]:
    seconds = times.astype("datetime64[us]").astype(np.int64) / 1e6
    return np.where(np.isnat(times), np.nan, seconds)


def _plain_list(values: list[Any]) -> list[Any]:
    """The values as JSON has them. The common case, text with gaps, is not looked at one by one."""
    kinds = set(map(type, values))
    if kinds <= _JSON_TYPES:
        return values
    if kinds <= {*_JSON_TYPES, float}:
        return [None if value != value else value for value in values]
    return [_plain(value) for value in values]


def _plain(value: Any) -> Any:
    """A value as JSON has it: None where it is missing, text for a time, Python's own number for numpy's."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if type(value).__name__ in ("NAType", "NaTType") or value != value:
        return None
    if isinstance(value, np.datetime64):
        return str(value)
    if isinstance(value, np.generic):
        return value.item()
    return value.isoformat() if isinstance(value, date) else value


def _datatype(values: Sequence[Any]) -> str:
    """The V2 name of what the values are; a column without any value counts as numbers, all of them missing."""
    kinds = set(map(type, values)) - {type(None)}
    if not kinds <= {bool, int, float}:
        return "BYTES"
    if bool in kinds:
        return "BOOL"
    return "INT64" if kinds == {int} else "FP64"


def _dumps(content: Any) -> bytes:
    # orjson writes NaN as null, which is how a missing value travels.
    return orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)
