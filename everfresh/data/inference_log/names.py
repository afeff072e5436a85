"""The names of the log's files say what is in them, so that readers can pass over a file without opening it.

    20130105T070312123456-8412-3fa2c1.v3.n1250.t1357369392000000_1357369392999000.b53120.parquet
    when it was written   by whom    version, rows, the first and the last time in microseconds since 1970, bytes

`all` stands before `.parquet` in the name of a file that was merged from others. Files of other names are read as well,
and opened for it. The bytes tell a whole file from one whose upload broke off.
"""

from __future__ import annotations

import os
import re
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from everfresh.data.windows import Window

ENDING = ".parquet"

_STAMP = "%Y%m%dT%H%M%S%f"
_NAME = re.compile(
    r"(?P<stamp>\d{8}T\d{12})-(?P<writer>\d+-[0-9a-f]{6})"
    r"(?:\.v(?P<version>\d+))?\.n(?P<rows>\d+)\.t(?P<first>-?\d+)_(?P<last>-?\d+)\.b(?P<size>\d+)"
    r"(?P<merged>\.all)?\.parquet"
)
_OLD_NAME = re.compile(r"(\d{8}T\d{12})-\d+-[0-9a-f]{6}\.parquet")
_HOUR = re.compile(r"date=(\d{4}-\d{2}-\d{2})/hour=(\d{2})")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class FileFacts:
    """What a file's name says.

    Attributes:
        stamp: when it was written, as the name has it; of a merged file, when the last of its parts was.
        version: the one version of all its rows; None where there are several, or none.
        rows: how many there are.
        first: the earliest time of a row, in microseconds since 1970.
        last: the latest one.
        size: how many bytes the whole file has.
        is_merged: whether it was made from other files.
    """

    stamp: str
    version: int | None
    rows: int
    first: int
    last: int
    size: int
    is_merged: bool = False

    @property
    def written(self) -> datetime:
        """When it was written."""
        return _moment(self.stamp)

    def may_hold(self, window: Window | None, version: int | None) -> bool:
        """Whether a row of that window and version can be in the file."""
        if version is not None and self.version is not None and version != self.version:
            return False
        return window is None or (self.first < microseconds(window.end) and self.last >= microseconds(window.start))

    def is_within(self, window: Window) -> bool:
        """Whether all of its rows lie in the window."""
        return microseconds(window.start) <= self.first and self.last < microseconds(window.end)


def facts_in(name: str) -> FileFacts | None:
    """What the name of a file says; None where it says nothing.

    >>> facts_in("20130105T070312123456-8412-3fa2c1.v3.n2.t5_7.b9.parquet").rows
    2
    """
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    version = found["version"]
    return FileFacts(
        stamp=found["stamp"],
        version=None if version is None else int(version),
        rows=int(found["rows"]),
        first=int(found["first"]),
        last=int(found["last"]),
        size=int(found["size"]),
        is_merged=found["merged"] is not None,
    )


def written_at(name: str) -> datetime | None:
    """When a file was written, by its name: a file of an earlier everfresh says no more than that."""
    facts = facts_in(name)
    if facts is not None:
        return facts.written
    found = _OLD_NAME.fullmatch(name)
    return _moment(found[1]) if found else None


def new_stem(table: pa.Table, time_column: str, written: datetime | None = None) -> str:
    """The name of a file that will hold `table`, up to its size."""
    stamp = (written or datetime.now(UTC)).strftime(_STAMP)
    writer = f"{os.getpid()}-{uuid.uuid4().hex[:6]}"
    version = _only(table["version"]) if "version" in table.column_names else None
    times = pc.min_max(table[time_column].cast(pa.int64())) if table.num_rows else None
    first, last = (times["min"].as_py(), times["max"].as_py()) if times is not None else (None, None)
    shown = "" if version is None else f".v{version}"
    return f"{stamp}-{writer}{shown}.n{table.num_rows}.t{first or 0}_{last or 0}"


def full_name(stem: str, size: int, *, merged: bool = False) -> str:
    """The name of a file of `size` bytes."""
    return f"{stem}.b{size}{'.all' if merged else ''}{ENDING}"


def hour_folder(moment: datetime) -> str:
    """The folder of an hour, in UTC.

    >>> hour_folder(datetime(2013, 1, 5, 7, 3, tzinfo=UTC))
    'date=2013-01-05/hour=07'
    """
    return f"{moment.astimezone(UTC):date=%Y-%m-%d/hour=%H}"


def hour_of(folder: str) -> datetime | None:
    """The hour of a folder; None for any other folder.

    >>> hour_of("date=2013-01-05/hour=07").hour
    7
    """
    found = _HOUR.fullmatch(folder)
    try:
        return datetime.strptime(f"{found[1]} {found[2]}", "%Y-%m-%d %H").replace(tzinfo=UTC) if found else None
    except ValueError:
        return None


def microseconds(moment: datetime) -> int:
    """Microseconds since 1970; a moment without a zone is in UTC."""
    return ((moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment) - _EPOCH) // _MICROSECOND


def _only(values: pa.ChunkedArray) -> int | None:
    ends = pc.min_max(values)
    lowest, highest = ends["min"].as_py(), ends["max"].as_py()
    return int(lowest) if lowest is not None and lowest == highest and lowest >= 0 and not values.null_count else None


def _moment(stamp: str) -> datetime:
    try:
        return datetime.strptime(stamp, _STAMP).replace(tzinfo=UTC)
    except ValueError:
        return _EPOCH
