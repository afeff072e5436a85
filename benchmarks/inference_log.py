"""What the inference log costs a server and its readers, in processor time: `python -m benchmarks.inference_log`.

Writing: microseconds a request and a row of `Recorder.record` and of the flush, for a model of 14 columns. Reading: a
million rows of 24 hours, as a server leaves them (a file a second), and after their hours were merged.
"""

from __future__ import annotations

import argparse
import os
import secrets
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa

from everfresh.data.columns import Column
from everfresh.data.inference_log import log_schema, read_log, write_rows
from everfresh.data.inference_log.keeping import Round, keep
from everfresh.data.windows import Window
from everfresh.packaging.batch import Batch
from everfresh.serving.inference import AnsweredBatch, Asked
from everfresh.serving.metrics.counting import Metrics
from everfresh.serving.questions.decoding import Rows
from everfresh.serving.questions.question import Question
from everfresh.serving.recording.recorder import Recorder

COLUMNS = tuple(Column(f"n{i}", "float") for i in range(10)) + tuple(Column(f"c{i}", "category") for i in range(4))
CLASSES = ("no", "yes")
HOUR = datetime(2013, 1, 5, tzinfo=UTC)
REPEATS = 7

_random = np.random.default_rng(20130105)


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows to read (default: a million)")
    parser.add_argument("--seconds", type=int, default=86_400, help="files of a second each (default: 24 hours)")
    parser.add_argument("--only", choices=("write", "read"), help="one of the two")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if options.only != "read":
            write(Path(folder) / "written")
        if options.only != "write":
            read(Path(folder) / "read", options.rows, options.seconds)


def write(root: Path) -> None:
    """Processor microseconds of recording and of flushing."""
    print("microseconds of processor time           record           flush            both")
    print("batch         rows          per request  per row  per request  per row  per request  per row")
    for requests, rows_each, batches in ((1, 1, 5000), (16, 1, 600), (64, 1, 150), (1, 64, 150), (1, 1, 5)):
        made = [_batch(requests, rows_each) for _ in range(batches)]
        recorder = Recorder(root, Metrics(), {})
        recording, flushing = [], []
        for _ in range(REPEATS):
            recording.append(_seconds(lambda made=made, recorder=recorder: [recorder.record(one) for one in made]))
            flushing.append(_seconds(recorder.flush))
        asked, rows = requests * batches, requests * batches * rows_each
        figures = [1e6 * min(part) / by for part in (recording, flushing) for by in (asked, rows)]
        figures += [figures[0] + figures[2], figures[1] + figures[3]]
        shown = "  ".join(f"{figure:11.2f}" if n % 2 == 0 else f"{figure:7.2f}" for n, figure in enumerate(figures))
        print(f"{requests:3} x {rows_each:2} rows {rows:6} at once  {shown}")


def read(root: Path, rows: int, seconds: int) -> None:
    """Seconds to read a day, and what merging it takes."""
    print(f"\n{rows:,} rows in {seconds:,} files of a second each")
    each = max(rows // seconds, 1)
    schema = log_schema(COLUMNS, CLASSES)
    made = _table(seconds * each, schema)
    fsync, os.fsync = os.fsync, lambda handle: None  # a day of them in a row would take ten minutes
    for second in range(seconds):
        part = made.slice(second * each, each)
        times = pa.array([HOUR + timedelta(seconds=second, microseconds=n) for n in range(each)], schema.field(1).type)
        write_rows(root, "flights", part.set_column(1, "time", times).set_column(2, "received", times))
    os.fsync = fsync
    day, hour = Window(HOUR, HOUR + timedelta(days=1)), Window(HOUR, HOUR + timedelta(hours=1))
    _read(root, "as written    ", day, hour)
    began = time.process_time()
    keep(root, "flights", Round(HOUR + timedelta(days=2)))
    print(f"merged in {time.process_time() - began:.1f} s of processor time")
    _read(root, "merged        ", day, hour)


def _read(root: Path, state: str, day: Window, hour: Window) -> None:
    files = list(root.rglob("*.parquet"))
    size = sum(file.stat().st_size for file in files)
    whole = _wall(lambda: read_log(root, "flights", window=day))
    ids = _wall(lambda: read_log(root, "flights", window=day, columns=["id"]))
    one = _wall(lambda: read_log(root, "flights", window=hour))
    seconds = f"a day {whole:7.2f} s, its ids {ids:7.2f} s, an hour {one:6.2f} s"
    print(f"{state} {len(files):6,} files, {size / 1e6:6.1f} MB: {seconds}")


def _batch(requests: int, rows_each: int) -> AnsweredBatch:
    rows = requests * rows_each
    batch = Batch(
        rows,
        {f"n{i}": _random.normal(size=rows).round(2) for i in range(10)},
        {f"c{i}": [str(value) for value in _random.integers(0, 20, rows)] for i in range(4)},
    )
    manifest: Any = SimpleNamespace(name="flights", columns=COLUMNS, classes=CLASSES)
    model: Any = SimpleNamespace(name="flights", version=1, manifest=manifest)
    now = time.time_ns()
    asked = [Asked(Question({}), secrets.token_hex(16), now - 200_000) for _ in range(requests)]
    return AnsweredBatch(
        model, "default", Rows(batch, None, None), _random.random((rows, 2)), asked, [rows_each] * requests, now
    )


def _table(rows: int, schema: pa.Schema) -> pa.Table:
    moments = pa.array([HOUR] * rows, schema.field(1).type)
    ids = pa.array([secrets.token_hex(16) for _ in range(rows)])
    known = {
        "id": ids, "time": moments, "received": moments, "model": pa.array(["flights"] * rows),
        "version": pa.array(np.ones(rows, dtype=np.int64)), "variant": pa.array(["default"] * rows), "request_id": ids,
        "latency_s": pa.array(_random.random(rows) / 1000),
    }  # fmt: skip
    for field in schema:
        if field.name not in known:
            is_text = field.type == pa.string()
            values = _random.integers(0, 20, rows).astype(str) if is_text else _random.normal(size=rows).round(2)
            known[field.name] = pa.array(values, field.type)
    return pa.table([known[name] for name in schema.names], schema=schema)


def _seconds(action: Callable[[], object]) -> float:
    began = time.process_time()
    action()
    return time.process_time() - began


def _wall(action: Callable[[], object]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
