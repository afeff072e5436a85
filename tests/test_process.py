from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from everfresh import process
from everfresh.errors import NotReady, PortTaken, ProcessDied
from everfresh.process import Service

NAME = "sleeper"

# Starts a child of its own, says that it is ready, and waits.
SLEEPER = """
import pathlib, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", sys.argv[2]], stdout=subprocess.PIPE)
child.stdout.readline()
pathlib.Path(sys.argv[1]).write_text(str(child.pid))
time.sleep(60)
"""
CHILD = "import time; print('here', flush=True); time.sleep(60)"
DEAF_CHILD = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {CHILD}"


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    for name in process.running_names(tmp_path):
        process.stop(name, tmp_path)


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as child:
        yield child
        child.kill()


def service(
    script: str,
    *arguments: str,
    is_ready: Callable[[], bool] = lambda: True,
    port: int | None = None,
    ready_seconds: float = 20.0,
) -> Service:
    command = [sys.executable, "-c", script, *arguments]
    return Service(NAME, command, {"GREETING": "hello"}, port, "Choose another port.", is_ready, ready_seconds)


def sleeper(home: Path, child: str = CHILD) -> Service:
    ready = home / "ready"
    return service(SLEEPER, str(ready), child, is_ready=lambda: ready.exists() and ready.read_text() != "")


def is_running(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def words_of(child: psutil.Process) -> list[str]:
    """Its command; none where it has ended, as what other tests started may have."""
    try:
        return child.cmdline()
    except psutil.Error:
        return []


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline, "waited for 10 s"
        time.sleep(0.02)


def test_starting_twice_is_one_process(home: Path) -> None:
    assert process.start(sleeper(home), home) == process.start(sleeper(home), home)
    assert process.running_names(home) == (NAME,)


def test_two_who_start_it_at_once_get_one_process(home: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        pids = set(pool.map(lambda _: process.start(sleeper(home), home), range(4)))
    assert len(pids) == 1
    assert len([child for child in psutil.Process().children() if str(home / "ready") in words_of(child)]) == 1


def test_stopping_ends_the_whole_tree_and_asking_twice_is_quiet(home: Path) -> None:
    pid = process.start(sleeper(home), home)
    child = int((home / "ready").read_text())
    assert process.stop(NAME, home)
    assert (is_running(pid), is_running(child)) == (False, False)
    assert not process.stop(NAME, home)


def test_one_that_does_not_listen_is_killed(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_ORPHAN_SECONDS", 0.5)
    process.start(sleeper(home, DEAF_CHILD), home)
    child = int((home / "ready").read_text())
    assert process.stop(NAME, home)
    assert not is_running(child)


def test_what_a_killed_process_left_behind_is_stopped(home: Path) -> None:
    pid = process.start(sleeper(home), home)
    child = int((home / "ready").read_text())
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: process.find(NAME, home) is None)
    assert is_running(child)
    assert process.stop(NAME, home)
    assert not is_running(child)


def test_a_killed_process_is_started_anew_without_what_it_left_behind(home: Path) -> None:
    first = process.start(sleeper(home), home)
    child = int((home / "ready").read_text())
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: process.find(NAME, home) is None)
    assert process.start(sleeper(home), home) != first
    assert not is_running(child)


def test_one_that_was_just_told_to_end_is_started_anew(home: Path) -> None:
    first = process.start(sleeper(home), home)
    (home / "ready").unlink()
    with ThreadPoolExecutor(1) as pool:
        started = pool.submit(process.start, sleeper(home), home)
        time.sleep(0.1)  # by now it was found, and waited for
        os.kill(first, signal.SIGKILL)
        assert started.result(timeout=20) != first
    assert process.running_names(home) == (NAME,)


def test_a_process_outlives_whoever_started_it(home: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from everfresh.process import Service, start;"
        "command = [sys.executable, '-c', 'import time; time.sleep(60)'];"
        f"print(start(Service({NAME!r}, command, {{}}, None, '', lambda: True), Path(sys.argv[1])))"
    )
    said = subprocess.run(
        [sys.executable, "-c", script, str(home)],
        env={**os.environ, "PYTHONPATH": str(Path(process.__file__).parents[1])},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    found = process.find(NAME, home)
    assert found is not None
    assert found.pid == int(said.stdout)
    assert said.stderr == ""
    assert process.stop(NAME, home)


def test_a_pid_that_was_given_to_a_stranger_is_never_taken_for_the_process(
    home: Path, stranger: subprocess.Popen[bytes]
) -> None:
    first = process.start(sleeper(home), home)
    process.stop(NAME, home)
    record = {"pid": stranger.pid, "created": time.time() - 3600, "command": ["x"], "log_begins_at": 0}
    (home / "processes" / f"{NAME}.json").write_text(json.dumps(record))
    assert process.find(NAME, home) is None
    assert not process.stop(NAME, home)
    (home / "processes" / f"{NAME}.json").write_text(json.dumps(record))
    assert process.start(sleeper(home), home) not in (first, stranger.pid)
    assert stranger.poll() is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": 1}', '{"pid": "x", "created": 0}'])
def test_a_process_file_that_cannot_be_read_counts_as_none(home: Path, text: str) -> None:
    (home / "processes").mkdir()
    (home / "processes" / f"{NAME}.json").write_text(text)
    assert process.find(NAME, home) is None
    assert not process.stop(NAME, home)


def test_one_that_dies_before_it_is_ready_says_its_own_last_line(home: Path) -> None:
    (home / "logs").mkdir()
    process.log_file(NAME, home).write_text("a line of an earlier life\n")
    with pytest.raises(ProcessDied, match="ended before it was ready: no such luck") as died:
        process.start(service("print('first'); raise SystemExit('no such luck')", is_ready=lambda: False), home)
    assert str(process.log_file(NAME, home)) in str(died.value)
    with pytest.raises(ProcessDied, match="it printed nothing"):
        process.start(service("", is_ready=lambda: False), home)
    assert process.find(NAME, home) is None


def test_one_that_is_dead_is_not_ready_though_another_answers_in_its_place(home: Path) -> None:
    def is_ready() -> bool:
        return process.find(NAME, home) is None

    with pytest.raises(ProcessDied, match="somebody else has it"):
        process.start(service("raise SystemExit('somebody else has it')", is_ready=is_ready), home)


def test_a_command_that_does_not_exist_is_said_in_a_sentence(home: Path) -> None:
    missing = Service(NAME, [str(home / "no-such-program")], {}, None, "", lambda: True)
    with pytest.raises(ProcessDied, match="No such file"):
        process.start(missing, home)


def test_one_that_is_not_ready_in_time_is_stopped(home: Path) -> None:
    pids: list[int] = []

    def never() -> bool:
        found = process.find(NAME, home)
        pids.extend([found.pid] if found is not None else [])
        return False

    with pytest.raises(NotReady, match=r"did not answer within 0 s\. Its log is"):
        process.start(service("import time; time.sleep(60)", is_ready=never, ready_seconds=0.2), home)
    assert pids
    assert not is_running(pids[0])
    assert process.running_names(home) == ()


def test_a_taken_port_says_what_to_do(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert not process.port_is_free(port)
        with pytest.raises(PortTaken, match=rf"127\.0\.0\.1:{port}: another program has it\. Choose another port\."):
            process.start(service("", port=port), home)
    assert process.port_is_free(port)


def test_the_environment_and_the_log_are_the_services_own(home: Path) -> None:
    script = "import os, time; print(os.environ['GREETING'], os.environ['PATH'] != '', flush=True); time.sleep(60)"
    log = process.log_file(NAME, home)
    process.start(service(script, is_ready=lambda: "hello" in log.read_text()), home)
    assert log.read_text() == "hello True\n"
