"""Writing the log: each file beside its place, and renamed into it when it is whole."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from everfresh.data.columns import plain_text
from everfresh.data.inference_log.columns import LABELS
from everfresh.data.inference_log.names import full_name, hour_folder, new_stem


def write_rows(root: Path, name: str, table: pa.Table, *, shadow: bool = False) -> Path:
    """Add served rows, or what a shadow version answered, to the log of the model `name`; the new file.

    It lies in the folder of the hour in which the newest of its rows was received.

    Raises:
        OSError: the disk refused them; nothing was written.
    """
    newest = pc.max(table["received"]).as_py() if "received" in table.column_names else None
    folder = root / name / ("shadow" if shadow else "log") / hour_folder(newest or datetime.now(UTC))
    return write_file(folder, table, time_column="time")


def write_labels(
    root: Path, name: str, ids: Sequence[str], labels: Sequence[Any], received: datetime | Sequence[datetime]
) -> Path:
    """Add labels, which were received at one moment or each at its own; the new file.

    Raises:
        OSError: the disk refused them; none was written.
    """
    texts = [plain_text(label) for label in labels]
    moments = [received] * len(texts) if isinstance(received, datetime) else list(received)
    table = pa.table([list(ids), texts, moments], schema=LABELS)
    folder = root / name / "labels" / hour_folder(max(moments, default=datetime.now(UTC)))
    return write_file(folder, table, time_column="received")


def write_file(folder: Path, table: pa.Table, *, time_column: str) -> Path:
    """Add a file that will soon be merged with others: quickly written rather than small.

    Raises:
        OSError: the disk refused it; nothing was written.
    """
    texts = [field.name for field in table.schema if _has_few_values(field)]
    options = {"compression": "lz4", "use_dictionary": texts, "write_statistics": [time_column], "store_schema": False}
    return put_file(folder, table, new_stem(table, time_column), options)


def put_file(
    folder: Path,
    table: pa.Table,
    stem: str,
    options: Mapping[str, Any],
    *,
    merged: bool = False,
    says: Mapping[str, str] | None = None,
) -> Path:
    """A new file in `folder`: whole, on the disk, and only then under its name.

    Args:
        folder: where; it is made where it is not there.
        table: what the file holds.
        stem: its name up to its size.
        options: for the writer of Parquet.
        merged: whether it is made from other files.
        says: what its footer says beside.
    """
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".{stem}.tmp"
    try:
        with temporary.open("wb") as content:
            _write(content, table, options, says or {})
            content.flush()
            os.fsync(content.fileno())  # or a power cut could leave the new name on an empty file
            size = content.tell()
        file = folder / full_name(stem, size, merged=merged)
        temporary.rename(file)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return file


def _write(content: Any, table: pa.Table, options: Mapping[str, Any], says: Mapping[str, str]) -> None:
    rows = {"row_group_size": options["row_group_size"]} if "row_group_size" in options else {}
    rest = {name: value for name, value in options.items() if name != "row_group_size"}
    with pq.ParquetWriter(content, table.schema, **rest) as writer:
        writer.write_table(table, **rows)
        if says:
            writer.add_key_value_metadata(dict(says))


def _has_few_values(field: pa.Field) -> bool:
    """Texts but for ids. A number is as quickly written as looked up."""
    is_text = pa.types.is_string(field.type) or pa.types.is_dictionary(field.type)
    return bool(is_text) and field.name not in ("id", "request_id")
