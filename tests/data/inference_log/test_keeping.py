from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from everfresh.data.inference_log import count_rows, keeping, read_labels, read_log, write_labels, write_rows
from everfresh.data.inference_log.keeping import Round, keep
from everfresh.data.inference_log.policy import LogPolicy

HOUR = datetime(2013, 1, 5, 7, tzinfo=UTC)
NEXT_DAY = HOUR + timedelta(days=1)


def files(root: Path, kind: str = "log") -> list[Path]:
    return sorted((root / "m" / kind).rglob("*.parquet"))


def ids(root: Path) -> list[str]:
    return sorted(read_log(root, "m", columns=["id"])["id"])


def test_rows_lie_in_the_hour_in_which_they_were_received(tmp_path, written):
    written(1)
    (file,) = files(tmp_path)
    assert file.parent == tmp_path / "m" / "log" / "date=2013-01-05" / "hour=07"


def test_a_closed_hour_becomes_one_file_for_each_version_in_the_order_of_time(tmp_path, written):
    expected = [*written(5), *written(3, version=2)]
    before = read_log(tmp_path, "m")

    assert keep(tmp_path, "m", Round(NEXT_DAY)).merged == 2

    assert len(files(tmp_path)) == 2
    assert all(pq.read_table(file)["time"].to_pylist() == sorted(pq.read_table(file)["time"].to_pylist())
               for file in files(tmp_path))  # fmt: skip
    assert ids(tmp_path) == sorted(expected)
    assert count_rows(tmp_path, "m") == len(expected)
    after = read_log(tmp_path, "m")
    order = ["time", "id"]
    assert after.sort_values(order, ignore_index=True).equals(before.sort_values(order, ignore_index=True))
    assert keep(tmp_path, "m", Round(NEXT_DAY)).merged == 0


def test_an_hour_is_left_alone_until_it_is_over(tmp_path, answered):
    now = datetime.now(UTC)
    for one in ("a", "b"):
        write_rows(tmp_path, "m", answered([one], at=now))
    assert keep(tmp_path, "m", Round(now)).merged == 0
    assert keep(tmp_path, "m", Round(now + timedelta(hours=1, minutes=3))).merged == 1


def test_a_busy_hour_is_merged_before_it_is_over(tmp_path, answered, monkeypatch):
    monkeypatch.setattr(keeping, "MANY_FILES", 5)
    now = datetime.now(UTC)
    for number in range(6):
        write_rows(tmp_path, "m", answered([str(number)], at=now))
    assert keep(tmp_path, "m", Round(now, everything=False)).merged == 0, "they may still be on their way"
    assert keep(tmp_path, "m", Round(now + timedelta(seconds=11), everything=False)).merged == 1
    assert ids(tmp_path) == [str(number) for number in range(6)]


def test_what_comes_late_into_a_closed_hour_is_merged_with_the_rest(tmp_path, written, answered):
    expected = written(3)
    keep(tmp_path, "m", Round(NEXT_DAY))
    write_rows(tmp_path, "m", answered(["late"], at=HOUR))
    assert keep(tmp_path, "m", Round(NEXT_DAY)).merged == 1
    assert len(files(tmp_path)) == 1
    assert ids(tmp_path) == sorted([*expected, "late"])


def test_files_of_an_earlier_everfresh_are_read_and_merged(tmp_path, answered):
    folder = tmp_path / "m" / "log"
    folder.mkdir(parents=True)
    for number in range(3):
        old = answered([str(number)], version=number % 2 + 1).drop_columns(["model", "variant", "latency_s"])
        pq.write_table(old, folder / f"20130105T07000000000{number}-12-00000{number}.parquet")
    assert (ids(tmp_path), count_rows(tmp_path, "m")) == (["0", "1", "2"], 3)
    assert keep(tmp_path, "m", Round(NEXT_DAY)).merged == 1
    assert len(files(tmp_path)) == 1
    assert ids(tmp_path) == ["0", "1", "2"]
    assert read_log(tmp_path, "m", version=2)["id"].tolist() == ["1"]


def test_versions_that_read_other_columns_stay_apart(tmp_path, answered):
    for number, table in enumerate([answered(["a"]), answered(["b"]), answered(["c"]).drop_columns("x.carrier")]):
        write_rows(tmp_path, "m", table)
        assert number < 3
    keep(tmp_path, "m", Round(NEXT_DAY))
    assert sorted(pq.read_metadata(file).num_rows for file in files(tmp_path)) == [1, 2]


def test_a_damaged_file_is_left_for_people_to_look_at(tmp_path, written, caplog):
    written(3)
    damaged = files(tmp_path)[0]
    damaged.write_bytes(b"PAR1 and then the power went")
    keep(tmp_path, "m", Round(NEXT_DAY))
    assert "is left as it is" in caplog.text
    assert damaged.exists()
    assert len(files(tmp_path)) == 2


def test_labels_are_merged_in_the_order_in_which_they_came(tmp_path):
    for number in range(4):
        write_labels(tmp_path, "m", ["a"], [number], HOUR + timedelta(minutes=number))
    keep(tmp_path, "m", Round(NEXT_DAY))
    assert len(files(tmp_path, "labels")) == 1
    assert read_labels(tmp_path, "m")["label"].tolist() == ["0", "1", "2", "3"]


def test_hours_older_than_the_policy_are_removed_and_younger_ones_stay(tmp_path, written, answered):
    written(2)
    kept = written(2, at=HOUR + timedelta(hours=1))
    write_rows(tmp_path, "m", answered(["shadow"]), shadow=True)
    write_labels(tmp_path, "m", ["a"], ["0"], HOUR)
    now = HOUR + timedelta(days=30, hours=1)

    assert keep(tmp_path, "m", Round(now)).expired == 0, "without a policy nothing is removed"
    assert keep(tmp_path, "m", Round(now, LogPolicy(keep=timedelta(days=30)))).expired == 3

    assert ids(tmp_path) == sorted(kept)
    assert (files(tmp_path, "shadow"), files(tmp_path, "labels")) == ([], [])
    assert keep(tmp_path, "m", Round(now + timedelta(hours=1), LogPolicy(keep=timedelta(days=30)))).expired == 1
    assert not (tmp_path / "m" / "log" / "date=2013-01-05").exists()


def test_a_log_that_was_deleted_is_not_made_again(tmp_path):
    assert keep(tmp_path, "gone", Round(NEXT_DAY)) is None
    assert list(tmp_path.iterdir()) == []


def test_one_process_keeps_a_log_at_a_time(tmp_path, written):
    written(3)
    inner = []
    how = Round(NEXT_DAY, breathe=lambda: inner.append(keep(tmp_path, "m", Round(NEXT_DAY))))
    assert keep(tmp_path, "m", how).merged == 1
    assert set(inner) == {None}


def test_what_a_killed_writer_left_behind_is_swept_when_it_is_old(tmp_path, written):
    written(1)
    half = files(tmp_path)[0].parent / ".half.tmp"
    half.write_bytes(b"PAR1")
    keep(tmp_path, "m", Round(datetime.now(UTC)))
    assert half.exists()
    keep(tmp_path, "m", Round(datetime.now(UTC) + timedelta(hours=1)))
    assert not half.exists()


class Killed(BaseException):
    """In the middle of whatever it was."""


@pytest.mark.parametrize("step", range(12))
def test_killed_at_any_step_no_row_is_lost_or_there_twice(tmp_path, written, monkeypatch, step):
    expected = sorted([*written(3), *written(2, version=2)])
    left = [step]

    def dying(action):
        def act(*arguments, **options):
            left[0] -= 1
            if left[0] < 0:
                raise Killed
            return action(*arguments, **options)

        return act

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", dying(Path.rename))
        patched.setattr(Path, "unlink", dying(Path.unlink))
        patched.setattr(os, "fsync", dying(os.fsync))
        patched.setattr(pq.ParquetWriter, "write_table", dying(pq.ParquetWriter.write_table))
        with pytest.raises(Killed):
            keep(tmp_path, "m", Round(NEXT_DAY))
    assert ids(tmp_path) == expected
    assert count_rows(tmp_path, "m") == len(expected)
    keep(tmp_path, "m", Round(NEXT_DAY))
    assert len(files(tmp_path)) == 2
    assert ids(tmp_path) == expected


MERGE_FOREVER = """
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
import pyarrow.parquet as pq
from everfresh.data.inference_log import write_rows
from everfresh.data.inference_log.keeping import Round, keep
root, rows = Path(sys.argv[1]), pq.read_table(sys.argv[2])
print("ready", flush=True)
number = int(sys.argv[3])
while True:
    for _ in range(4):
        part = rows.set_column(0, "id", [[f"{number}-a", f"{number}-b"]])
        write_rows(root, "m", part)
        print(number, flush=True)
        number += 1
    keep(root, "m", Round(datetime.now(UTC) + timedelta(days=1)))
"""


def test_kill_9_in_the_middle_of_writing_and_merging_costs_no_row_that_was_written(tmp_path, answered):
    root, table = tmp_path / "log", tmp_path / "rows.parquet"
    pq.write_table(answered(["x", "y"]), table)
    chance = random.Random(20130105)
    number = 0
    for _ in range(4):
        process = subprocess.Popen(
            [sys.executable, "-c", MERGE_FOREVER, str(root), str(table), str(number)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(chance.uniform(0.05, 0.25))
        process.send_signal(signal.SIGKILL)
        said = process.stdout.read().splitlines()
        process.wait(10)
        process.stdout.close()
        number = max([number, *(int(line) + 2 for line in said if line)])
        found = ids(root)
        assert len(found) == len(set(found)), "a row is there twice"
        acknowledged = {f"{line}-{row}" for line in said if line for row in "ab"}
        assert acknowledged <= set(found), "a row is lost"
        assert count_rows(root, "m") == len(found)
    assert number > 10


def test_a_reader_sees_every_row_once_while_others_write_and_merge(tmp_path, answered):
    """Whatever was written before a read began is in it, and nothing twice."""
    root = tmp_path
    written: list[str] = []
    done = threading.Event()
    failures: list[BaseException] = []

    def write() -> None:
        for number in range(120):
            write_rows(root, "m", answered([f"{number:04}"]))
            written.append(f"{number:04}")

    def merge() -> None:
        while not done.is_set():
            try:
                keep(root, "m", Round(NEXT_DAY))
            except BaseException as error:
                failures.append(error)
                return

    merging, writing = threading.Thread(target=merge), threading.Thread(target=write)
    merging.start()
    writing.start()
    reads = 0
    while writing.is_alive() or reads < 5:
        before = list(written)
        found = ids(root)
        reads += 1
        assert len(found) == len(set(found))
        assert set(before) <= set(found)
    done.set()
    merging.join()
    assert failures == []
    assert ids(root) == written


def test_large_hours_become_several_files(tmp_path, answered, monkeypatch):
    monkeypatch.setattr("everfresh.data.inference_log.merging.MOST_ROWS", 5)
    monkeypatch.setattr(keeping, "MOST_ROWS", 5)
    for number in range(6):
        write_rows(tmp_path, "m", answered([f"{number}a", f"{number}b"]))
    keep(tmp_path, "m", Round(NEXT_DAY))
    assert [pq.read_metadata(file).num_rows for file in files(tmp_path)] == [4, 4, 4]
    assert isinstance(pq.read_table(files(tmp_path)[0]), pa.Table)
    assert keep(tmp_path, "m", Round(NEXT_DAY)).merged == 0
