"""The inference log: what was asked and answered, and the labels that came back, as Parquet files.

    <root>/<model>/log/<file>.parquet       id, time, received, model, version, variant, request_id, latency_s,
                                            x.<feature>, p.<class> or value
    <root>/<model>/shadow/<file>.parquet    the same, of versions that answered a copy of the traffic, unseen
    <root>/<model>/labels/<file>.parquet    id, label, received

Files are written beside their place and renamed into it; nothing ever changes one. The inference server writes them,
so pandas is imported only by those who read.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from everfresh.data.columns import Column, plain_text
from everfresh.errors import SourceUnreadable

if TYPE_CHECKING:
    import pandas as pd

    from everfresh.data.windows import Window

FEATURE_PREFIX = "x."
ANSWER_PREFIX = "p."
VALUE = "value"

_TIME = pa.timestamp("us", tz="UTC")
_ROW = pa.schema(
    [
        ("id", pa.string()),
        ("time", _TIME),
        ("received", _TIME),
        ("model", pa.string()),
        ("version", pa.int64()),
        ("variant", pa.string()),
        ("request_id", pa.string()),
        ("latency_s", pa.float64()),
    ]
)
_LABELS = pa.schema([("id", pa.string()), ("label", pa.string()), ("received", _TIME)])


@dataclass(frozen=True)
class LabelledLog:
    """Served rows beside their labels.

    Attributes:
        frame: the log, one row for each id, in the order of time; `label` is text, missing where there is none yet.
        unknown_labels: labels for ids that were never served.
        repeated_labels: labels that came again and said the same.
        contradicted_labels: ids whose labels differ; the newest counts.
    """

    frame: pd.DataFrame
    unknown_labels: int = 0
    repeated_labels: int = 0
    contradicted_labels: int = 0


def log_schema(columns: Sequence[Column], classes: Sequence[str]) -> pa.Schema:
    """The columns of the log of one model: `classes` are empty for a regression."""
    features = [(f"{FEATURE_PREFIX}{c.name}", pa.string() if c.is_category else pa.float64()) for c in columns]
    answers = [(f"{ANSWER_PREFIX}{name}", pa.float64()) for name in classes] or [(VALUE, pa.float64())]
    return pa.schema([*_ROW, *(pa.field(name, dtype) for name, dtype in (*features, *answers))])


def write_rows(root: Path, name: str, table: pa.Table, *, shadow: bool = False) -> Path:
    """Add served rows, or what a shadow version answered, to the log of the model `name`; the new file.

    Raises:
        OSError: the disk refused them; nothing was written.
    """
    return _write(root / name / ("shadow" if shadow else "log"), table)


def write_labels(root: Path, name: str, ids: Sequence[str], labels: Sequence[Any], received: datetime) -> Path:
    """Add labels; the new file.

    Raises:
        OSError: the disk refused them; none was written.
    """
    texts = [plain_text(label) for label in labels]
    return _write(root / name / "labels", pa.table([list(ids), texts, [received] * len(texts)], schema=_LABELS))


def read_log(
    root: Path, name: str, *, window: Window | None = None, version: int | None = None, columns: Sequence[str] = ()
) -> pd.DataFrame:
    """Served rows in the order of time; no rows where nothing was served.

    Args:
        root: where the logs lie.
        name: the model.
        window: only rows whose time lies in it.
        version: only rows that this version answered.
        columns: only these; all of them where it is empty.
    """
    wanted = [*columns, "time"] if columns and "time" not in columns else list(columns)
    parts = [part for file in _files(root / name / "log") if (part := _read(file, window, version, wanted)) is not None]
    parts = [part for part in parts if part.num_rows] or parts[:1] or [_ROW.empty_table()]
    frame: pd.DataFrame = pa.concat_tables(_alike(parts), promote_options="default").to_pandas()
    frame = frame.sort_values("time", kind="stable", ignore_index=True)
    return frame.reindex(columns=list(columns)) if columns else frame


def count_rows(root: Path, name: str) -> int:
    """How many rows the log of the model `name` holds; only the files' ends are read."""
    return sum(pq.read_metadata(file).num_rows for file in (root / name / "log").glob("*.parquet"))


def read_labels(root: Path, name: str) -> pd.DataFrame:
    """All labels that came back, in the order in which they came: `id`, `label` (text), `received`."""
    parts = [part for file in _files(root / name / "labels") if (part := _table(file)) is not None]
    frame: pd.DataFrame = pa.concat_tables([_LABELS.empty_table(), *parts]).to_pandas()
    return frame.sort_values("received", kind="stable", ignore_index=True)


def with_labels(log: pd.DataFrame, labels: pd.DataFrame, *, all_ids: pd.Series | None = None) -> LabelledLog:
    """The log beside its labels. An id that was served twice counts once, with its newest answer.

    Args:
        log: served rows, by `read_log`.
        labels: by `read_labels`.
        all_ids: every id that was ever served, where `log` is only a part; labels of other ids are unknown.
    """
    labels = labels[labels["label"].notna()]
    newest = labels.drop_duplicates("id", keep="last")
    says_the_same = labels.drop_duplicates(["id", "label"])
    served = log.drop_duplicates("id", keep="last")
    known = served["id"] if all_ids is None else all_ids
    return LabelledLog(
        frame=served.merge(newest[["id", "label"]], on="id", how="left"),
        unknown_labels=len({*newest["id"].to_numpy(dtype=object)} - {*known.to_numpy(dtype=object)}),
        repeated_labels=len(labels) - len(says_the_same),
        contradicted_labels=says_the_same.loc[says_the_same["id"].duplicated(), "id"].nunique(),
    )


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.parquet"))


def _read(file: Path, window: Window | None, version: int | None, columns: Sequence[str]) -> pa.Table | None:
    filters: list[tuple[str, str, Any]] = []
    if window is not None:
        filters += [("time", ">=", _utc(window.start)), ("time", "<", _utc(window.end))]
    if version is not None:
        filters.append(("version", "==", version))
    return _table(file, filters=filters or None, columns=columns)


def _table(file: Path, *, filters: Any = None, columns: Sequence[str] = ()) -> pa.Table | None:
    """What a file holds; None if it is gone, for old files are removed while others are read."""
    try:
        # Of the columns, those that it has: an older version did not know every feature.
        there = [name for name in columns if name in pq.read_schema(file).names] if columns else None
        return pq.read_table(file, filters=filters, columns=there, partitioning=None)
    except FileNotFoundError:
        return None
    except (OSError, pa.ArrowException) as error:
        raise SourceUnreadable(str(file), f"{type(error).__name__}: {error}; move it away if it is damaged") from error


def _alike(parts: Sequence[pa.Table]) -> list[pa.Table]:
    """Text in each column that is text in one of the parts: the next version may take a number for a category."""
    texts = {field.name for part in parts for field in part.schema if field.type == pa.string()}
    return [_as_text(part, texts) for part in parts]


def _as_text(part: pa.Table, names: Collection[str]) -> pa.Table:
    for position, field in enumerate(part.schema):
        if field.name in names and field.type != pa.string():
            texts = pa.array(map(plain_text, part[position].to_pylist()), pa.string())
            part = part.set_column(position, field.name, texts)
    return part


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def _write(folder: Path, table: pa.Table) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}-{os.getpid()}-{uuid.uuid4().hex[:6]}"
    file, temporary = folder / f"{name}.parquet", folder / f".{name}.tmp"
    try:
        with temporary.open("wb") as content:
            pq.write_table(table, content)
            content.flush()
            os.fsync(content.fileno())  # or a power cut could leave the new name on an empty file
        temporary.rename(file)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return file
