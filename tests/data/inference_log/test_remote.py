"""The log in S3, as moto has it, and in Azure, as Azurite has it."""

from __future__ import annotations

import socket
import threading
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from everfresh.data.inference_log import count_rows, keeping, read_labels, read_log, write_labels, write_rows
from everfresh.data.inference_log.keeping import Round, keep
from everfresh.data.inference_log.policy import LogPolicy
from everfresh.data.inference_log.remote import RemoteLog, remote_log
from everfresh.data.windows import Window
from everfresh.errors import InvalidSetting, SourceUnreachable

HOUR = datetime(2013, 1, 5, 7, tzinfo=UTC)
NEXT_DAY = HOUR + timedelta(days=1)

pytestmark = pytest.mark.slow


@pytest.fixture(params=["s3", "azure"])
def environment(request) -> dict[str, str]:
    """A place of its own for each test."""
    place = {"s3": "s3://logs", "azure": "abfss://logs@acme.dfs.core.windows.net"}[request.param]
    return {**request.getfixturevalue(request.param), "EVERFRESH_INFERENCE_LOG": f"{place}/{uuid.uuid4().hex}"}


@pytest.fixture
def remote(environment) -> RemoteLog:
    found = remote_log(environment)
    assert found is not None
    return found


def ids(root: Path, environment: dict[str, str], **options: object) -> list[str]:
    return sorted(read_log(root, "m", columns=["id"], environment=environment, **options)["id"])


def here(root: Path) -> list[Path]:
    return list((root / "m").rglob("*.parquet"))


def test_a_closed_hour_moves_there_and_is_read_from_there(tmp_path, written, environment, remote):
    expected = [*written(4), *written(2, version=2)]
    write_labels(tmp_path, "m", ["a"], ["1"], HOUR)
    assert ids(tmp_path, environment) == sorted(expected)

    assert keep(tmp_path, "m", Round(NEXT_DAY, remote=remote)).shipped == 3

    assert here(tmp_path) == []
    assert ids(tmp_path, environment) == sorted(expected)
    assert ids(tmp_path / "another machine", environment) == sorted(expected)
    assert count_rows(tmp_path, "m", environment=environment) == len(expected)
    assert read_labels(tmp_path, "m", environment=environment)["label"].tolist() == ["1"]
    assert ids(tmp_path, environment, version=2) == sorted(expected[8:])
    assert ids(tmp_path, environment, window=Window(HOUR, HOUR + timedelta(seconds=1))) == [
        "v1-0507-0-0",
        "v2-0507-0-0",
    ]
    assert keep(tmp_path, "m", Round(NEXT_DAY, remote=remote)).shipped == 0


def test_what_is_here_and_what_is_there_are_one_log(tmp_path, written, answered, environment, remote):
    expected = written(2)
    keep(tmp_path, "m", Round(NEXT_DAY, remote=remote))
    now = datetime.now(UTC)
    write_rows(tmp_path, "m", answered(["fresh"], at=now))
    assert keep(tmp_path, "m", Round(now + timedelta(minutes=1), remote=remote)).shipped == 0
    assert ids(tmp_path, environment) == sorted([*expected, "fresh"])
    assert keep(tmp_path, "m", Round(now + timedelta(minutes=6), remote=remote)).shipped == 1
    assert ids(tmp_path, environment) == sorted([*expected, "fresh"])


class Killed(BaseException):
    """In the middle of whatever it was."""


@pytest.mark.parametrize("step", range(7))
def test_a_killed_shipper_neither_loses_nor_doubles_a_file(tmp_path, written, environment, remote, monkeypatch, step):
    expected = sorted(written(3))
    left = [step]

    def dying(action):
        def act(*arguments, **options):
            left[0] -= 1
            if left[0] < 0:
                raise Killed
            return action(*arguments, **options)

        return act

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", dying(Path.unlink))
        patched.setattr(Path, "read_bytes", dying(Path.read_bytes))
        patched.setattr(keeping, "sync_folder", dying(keeping.sync_folder))
        if step < 6:
            with pytest.raises(Killed):
                keep(tmp_path, "m", Round(NEXT_DAY, remote=remote))
    assert ids(tmp_path, environment) == expected
    assert count_rows(tmp_path, "m", environment=environment) == len(expected)
    keep(tmp_path, "m", Round(NEXT_DAY, remote=remote))
    assert here(tmp_path) == []
    assert ids(tmp_path, environment) == expected


def test_an_upload_that_broke_off_is_no_file_and_is_made_good(tmp_path, written, environment, remote):
    expected = sorted(written(2))
    keep(tmp_path, "m", Round(NEXT_DAY))
    (file,) = here(tmp_path)
    place = f"{remote.prefix}/m/log/date=2013-01-05/hour=07/{file.name}"
    with remote.system.open_output_stream(place) as half:
        half.write(file.read_bytes()[:100])
    assert ids(tmp_path / "another machine", environment) == []
    assert ids(tmp_path, environment) == expected

    keep(tmp_path, "m", Round(NEXT_DAY, remote=remote))

    assert ids(tmp_path / "another machine", environment) == expected


def test_days_older_than_the_policy_are_removed_there_too(tmp_path, written, environment, remote):
    written(2)
    kept = written(2, at=NEXT_DAY)
    keep(tmp_path, "m", Round(NEXT_DAY + timedelta(days=1), remote=remote))
    now = NEXT_DAY + timedelta(days=30)
    keep(tmp_path, "m", Round(now, LogPolicy(keep=timedelta(days=30)), remote=remote))
    assert ids(tmp_path, environment) == sorted(kept)


def test_a_reader_sees_every_row_once_while_files_are_shipped(tmp_path, written, environment, remote):
    expected: list[str] = []
    done = threading.Event()
    failures: list[BaseException] = []

    def ship() -> None:
        try:
            for number in range(4):
                expected.extend(written(3, at=HOUR + timedelta(hours=number)))
                keep(tmp_path, "m", Round(NEXT_DAY, remote=remote))
        except BaseException as error:
            failures.append(error)
        done.set()

    shipping = threading.Thread(target=ship)
    shipping.start()
    while not done.is_set():
        before = list(expected)
        found = ids(tmp_path, environment)
        assert len(found) == len(set(found))
        assert set(before) <= set(found)
    shipping.join()
    assert failures == []
    assert ids(tmp_path, environment) == sorted(expected)


@pytest.mark.parametrize("environment", ["s3"], indirect=True)
def test_a_store_that_does_not_answer_keeps_the_files_here(tmp_path, written, environment):
    expected = written(2)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        nowhere = environment | {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{closed.getsockname()[1]}"}
    with pytest.raises(OSError, match=r"S3|curl|connect"):
        keep(tmp_path, "m", Round(NEXT_DAY, remote=remote_log(nowhere)))
    assert ids(tmp_path, {}) == sorted(expected)
    with pytest.raises(SourceUnreachable, match="s3://logs"):
        ids(tmp_path, nowhere)


def test_an_address_of_no_store_is_told_with_the_variable():
    with pytest.raises(InvalidSetting, match="EVERFRESH_INFERENCE_LOG is '/mnt/logs'"):
        remote_log({"EVERFRESH_INFERENCE_LOG": "/mnt/logs"})
    assert remote_log({}) is None
    assert remote_log({"EVERFRESH_INFERENCE_LOG": ""}) is None
