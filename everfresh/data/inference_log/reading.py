"""Reading the log, here and where it was shipped to. Only files that can hold what is asked for are opened."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from everfresh.data.columns import plain_text
from everfresh.data.inference_log.columns import LABELS, ROW, TIME, is_answer
from everfresh.data.inference_log.folders import LogFile, files_of, hour_folders
from everfresh.data.inference_log.names import FileFacts, hour_of
from everfresh.data.inference_log.remote import RemoteFile, RemoteLog, remote_log
from everfresh.data.locations import unreadable
from everfresh.errors import SourceUnreachable, SourceUnreadable

if TYPE_CHECKING:
    import pandas as pd

    from everfresh.data.windows import Window

_ORDER = ("time", "received")
_PAIR = ("request_id", "id")
_ATTEMPTS = 20
_THREADS_HERE = 2
_MANY = 50
_THREADS_THERE = 16


@dataclass(frozen=True)
class _Wanted:
    """What is asked of a log: rows of a window and a version, and the columns that `chosen` picks among a file's."""

    window: Window | None
    version: int | None
    chosen: Callable[[Sequence[str]], Sequence[str]]

    def may_be_in(self, file: LogFile | RemoteFile) -> bool:
        return file.facts is None or file.facts.may_hold(self.window, self.version)


def read_log(
    root: Path,
    name: str,
    *,
    window: Window | None = None,
    version: int | None = None,
    columns: Sequence[str] = (),
    environment: Mapping[str, str] = os.environ,
) -> pd.DataFrame:
    """Served rows in the order of time, and of their arrival where that is the same; none where nothing was served.

    Args:
        root: where the logs lie on this machine.
        name: the model.
        window: only rows whose time lies in it.
        version: only rows that this version answered.
        columns: only these; all of them where it is empty.
        environment: says where files were shipped to, and how that place is reached.

    Raises:
        SourceUnreadable: a file is damaged.
        SourceUnreachable: the place that files were shipped to does not answer.
    """
    needed = {*columns, *_ORDER}
    wanted = _Wanted(window, version, lambda there: [c for c in there if not columns or c in needed])
    frame = _in_order(_read(root, name, "log", wanted, environment) or [ROW.empty_table()])
    return frame.reindex(columns=list(columns)) if columns else frame


def read_shadow_pairs(
    root: Path,
    name: str,
    *,
    window: Window | None = None,
    version: int | None = None,
    columns: Sequence[str] = (),
    environment: Mapping[str, str] = os.environ,
) -> pd.DataFrame:
    """What was served beside what a shadow version answered to the same rows, in the order of time.

    A row for each row of a request and each version that shadowed it: `id`, `request_id`, `time`, then `version`,
    `latency_s` and the answers (`p.<class>` or `value`) of the version that was served, then the same of the shadow
    with `shadow.` before them. Rows that only one of them answered are left out.

    Args:
        root: where the logs lie on this machine.
        name: the model.
        window: only rows whose time lies in it.
        version: only pairs with this shadow version.
        columns: more columns of the served rows, such as features.
        environment: as for `read_log`.

    Raises:
        SourceUnreadable: a file is damaged.
        SourceUnreachable: the place that files were shipped to does not answer.
    """
    facts = (*_PAIR, *_ORDER, "version", "latency_s")

    def served_columns(there: Sequence[str]) -> Sequence[str]:
        return [c for c in there if c in facts or c in columns or is_answer(c)]

    def shadow_columns(there: Sequence[str]) -> Sequence[str]:
        return [c for c in there if c in facts or is_answer(c)]

    nothing = pa.schema([field for field in ROW if field.name in facts]).empty_table()
    served_rows = _in_order(_read(root, name, "log", _Wanted(window, None, served_columns), environment) or [nothing])
    shadow_rows = _in_order(
        _read(root, name, "shadow", _Wanted(window, version, shadow_columns), environment) or [nothing]
    )
    served = served_rows.drop_duplicates(list(_PAIR), keep="last").drop(columns="received")
    shadow = shadow_rows.drop_duplicates([*_PAIR, "version"], keep="last").drop(columns=list(_ORDER))
    shadow = shadow.rename(columns=lambda column: column if column in _PAIR else f"shadow.{column}")
    first = ["id", "request_id", "time", "version", "latency_s"]
    joined = served.merge(shadow, on=list(_PAIR), how="inner")
    return joined[[*first, *(column for column in joined.columns if column not in first)]]


def count_rows(root: Path, name: str, *, environment: Mapping[str, str] = os.environ) -> int:
    """How many rows the log of the model `name` holds; by the names of the files, or by their ends."""
    everything = _Wanted(None, None, lambda there: there)
    return sum(_each_folder(root, name, "log", everything, environment, _row_count))


def read_labels(root: Path, name: str, *, environment: Mapping[str, str] = os.environ) -> pd.DataFrame:
    """All labels that came back, in the order in which they came: `id`, `label` (text), `received`."""
    parts = _read(root, name, "labels", _Wanted(None, None, lambda there: there), environment)
    frame: pd.DataFrame = pa.concat_tables([LABELS.empty_table(), *parts]).to_pandas()
    return frame.sort_values("received", kind="stable", ignore_index=True)


def read_file(file: LogFile, wanted: _Wanted | None = None) -> pa.Table:
    """The rows of a file on this machine.

    Raises:
        FileNotFoundError: it is gone.
        SourceUnreadable: it is damaged.
    """
    try:
        with pq.ParquetFile(file.path) as content:
            return _rows_of(content, file.facts, wanted)
    except FileNotFoundError:
        raise
    except (OSError, pa.ArrowException) as error:
        why = f"{type(error).__name__}: {error}; move it away if it is damaged"
        raise SourceUnreadable(str(file.path), why) from error


def _read(root: Path, name: str, kind: str, wanted: _Wanted, environment: Mapping[str, str]) -> list[pa.Table]:
    """The rows of all the files, in the order in which they were written; empty tables say which columns there are."""

    def read(file: LogFile | RemoteFile) -> pa.Table:
        return read_file(file, wanted) if isinstance(file, LogFile) else _read_there(file, wanted)

    tables = [table for table in _each_folder(root, name, kind, wanted, environment, read) if table.num_columns]
    return [table for table in tables if table.num_rows] or tables[:1]


def _each_folder(
    root: Path,
    name: str,
    kind: str,
    wanted: _Wanted,
    environment: Mapping[str, str],
    read: Callable[[LogFile | RemoteFile], Any],
) -> list[Any]:
    """What `read` makes of each file that counts, folder by folder.

    What is here is listed before what is there: a file goes from here only when it is there. A file that is gone when
    it is read was merged, shipped or removed since: its folder is listed again.
    """
    remote = remote_log(environment)
    here = {_hour(root / name / kind, folder): files_of(folder) for folder in hour_folders(root / name / kind)}
    there = _listed(remote, name, kind)
    results: list[Any] = []
    with ThreadPoolExecutor(_THREADS_THERE if remote else _THREADS_HERE) as pool:
        for hour in sorted({*here, *there}):
            local, shipped = here.get(hour, []), there.get(hour, [])
            for _ in range(_ATTEMPTS):
                names = {file.path.name for file in local}
                files: list[LogFile | RemoteFile] = [*local, *(f for f in shipped if f.name not in names)]
                try:
                    chosen = [file for file in files if wanted.may_be_in(file)]
                    # Threads that open many small files wait for each other, and not for the disk.
                    each = map if remote is None and len(chosen) > _MANY else pool.map
                    # As a list: what was read before one of them is found gone must not count.
                    results += list(each(read, chosen))
                    break
                except FileNotFoundError:
                    local = files_of(root / name / kind / hour)
                    shipped = _listed(remote, name, kind, hour).get(hour, [])
            else:
                raise SourceUnreadable(str(root / name / kind / hour), "its files are gone before they can be read")
    return results


def _listed(remote: RemoteLog | None, name: str, kind: str, hour: str = "") -> dict[str, list[RemoteFile]]:
    if remote is None:
        return {}
    with unreadable(remote.url):
        files = remote.files(name, kind, hour)
    folders = groupby(sorted(files, key=_folder_there), key=_folder_there)
    return {folder: list(members) for folder, members in folders}


def _folder_there(file: RemoteFile) -> str:
    folder = "/".join(file.path.split("/")[-3:-1])
    return folder if hour_of(folder) is not None else ""


def _hour(log: Path, folder: Path) -> str:
    return "" if folder == log else f"{folder.parent.name}/{folder.name}"


def _read_there(file: RemoteFile, wanted: _Wanted) -> pa.Table:
    what = f"{file.log.url}: {file.path}"
    try:
        content = file.content()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise SourceUnreachable(what, f"{type(error).__name__}: {error}".rstrip(". \n")) from error
    with unreadable(what), pq.ParquetFile(pa.BufferReader(content)) as parquet:
        return _rows_of(parquet, file.facts, wanted)


def _row_count(file: LogFile | RemoteFile) -> int:
    if isinstance(file, LogFile):
        file.path.stat()  # what was merged and shipped since must not count here and there
    return int(pq.read_metadata(file.path).num_rows) if file.facts is None else file.facts.rows


def _rows_of(content: pq.ParquetFile, facts: FileFacts | None, wanted: _Wanted | None) -> pa.Table:
    names = content.schema_arrow.names
    if wanted is None:
        return content.read(use_threads=False)
    chosen = [*wanted.chosen(names)]
    window, version = wanted.window, wanted.version
    if facts is not None:
        window = None if window is not None and facts.is_within(window) else window
        version = None if version is not None and facts.version == version else version
    if window is None and version is None:
        return content.read(columns=chosen, use_threads=False)
    looked_at = [name for name in ("time", "version") if name in names and name not in chosen]
    groups = [group for group in range(content.num_row_groups) if _may_lie_in(content, group, window)]
    table = content.read_row_groups(groups, columns=[*chosen, *looked_at], use_threads=False)
    return _filtered(table, window, version).drop_columns(looked_at)


def _may_lie_in(content: pq.ParquetFile, group: int, window: Window | None) -> bool:
    """Whether a group of rows has times in the window: merged files are in the order of time."""
    if window is None:
        return True
    of_group = content.metadata.row_group(group)
    columns = (of_group.column(position) for position in range(of_group.num_columns))
    found = next((column.statistics for column in columns if column.path_in_schema == "time"), None)
    if found is None or not found.has_min_max:
        return True
    return bool(_utc(found.min) < _utc(window.end) and _utc(found.max) >= _utc(window.start))


def _filtered(table: pa.Table, window: Window | None, version: int | None) -> pa.Table:
    if window is not None:
        after = pc.greater_equal(table["time"], pa.scalar(_utc(window.start), TIME))
        table = table.filter(pc.and_(after, pc.less(table["time"], pa.scalar(_utc(window.end), TIME))))
    if version is not None:
        table = table.filter(pc.equal(table["version"], version))
    return table


def _in_order(parts: Sequence[pa.Table]) -> pd.DataFrame:
    """All the rows by their time, then by their arrival, then as they were written."""
    frame: pd.DataFrame = pa.concat_tables(_alike(parts), promote_options="default").to_pandas()
    keys = [frame[name].dt.tz_localize(None).to_numpy() for name in _ORDER if name in frame]
    return frame.take(np.lexsort(keys[::-1])).reset_index(drop=True)


def _alike(parts: Sequence[pa.Table]) -> list[pa.Table]:
    """Text in each column that is text in one of the parts: the next version may take a number for a category."""
    kinds: dict[str, set[pa.DataType]] = {}
    for part in parts:
        for field in part.schema:
            kinds.setdefault(field.name, set()).add(field.type)
    texts = {name for name, found in kinds.items() if len(found) > 1 and pa.string() in found}
    return [_as_text(part, texts) for part in parts] if texts else list(parts)


def _as_text(part: pa.Table, names: Collection[str]) -> pa.Table:
    for position, field in enumerate(part.schema):
        if field.name in names and field.type != pa.string():
            texts = pa.array(map(plain_text, part[position].to_pylist()), pa.string())
            part = part.set_column(position, field.name, texts)
    return part


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
