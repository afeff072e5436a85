"""Whatever is killed, exactly one server serves, and the supervisor ends all of it when it is asked to."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys

import psutil
import pytest

from everfresh.serving.server import check_port
from everfresh.serving.versions.state import read_server, want_version

MODULE = "everfresh.serving.supervisor"


@pytest.fixture
def supervise(serve):
    def start_supervisor(root, **options):
        return serve(root, module=MODULE, **options)

    return start_supervisor


def version_of(server):
    return server.get("/v2/models/flights").json().get("versions")


def servers_of(root, processes_of):
    """The processes of servers on a root, without their workers."""
    found = [process for process in processes_of(root) if MODULE not in process.cmdline()]
    return [process.pid for process in found if process.ppid() not in {other.pid for other in found}]


def test_a_server_that_is_killed_serves_again_what_it_served(supervise, root, eventually):
    want_version(root, "flights", 2)
    supervisor = supervise(root)
    first = read_server(root).pid
    psutil.Process(first).kill()
    eventually(lambda: read_server(root) is not None and read_server(root).pid != first)
    eventually(lambda: version_of(supervisor) == ["2"])
    assert "ended with -9; it is started again in 0.2 s" in supervisor.said()


def test_a_supervisor_that_is_killed_leaves_the_server_serving_and_the_next_takes_it_over(
    supervise, root, eventually, processes_of
):
    first = supervise(root)
    server = read_server(root)
    first.process.kill()
    first.process.wait(5)
    assert version_of(first) == ["1"]
    assert servers_of(root, processes_of) == [server.pid]

    second = supervise(root, port=first.port)
    eventually(lambda: "runs already and is taken over" in second.said())
    assert servers_of(root, processes_of) == [server.pid]
    assert second.stop() == 0
    eventually(lambda: processes_of(root) == [])
    check_port("127.0.0.1", first.port)


def test_a_server_that_was_taken_over_is_started_again_when_it_is_killed(supervise, root, eventually, processes_of):
    first = supervise(root)
    first.process.kill()
    second = supervise(root, port=first.port)
    old = read_server(root).pid
    eventually(lambda: "is taken over" in second.said())
    psutil.Process(old).kill()
    eventually(lambda: (read_server(root) or second.process).pid not in (old, second.process.pid))
    eventually(lambda: version_of(second) == ["1"])
    assert len(servers_of(root, processes_of)) == 1


@pytest.mark.slow
def test_supervisor_and_server_killed_together_are_followed_without_a_quarrel_over_the_port(
    supervise, root, processes_of, eventually
):
    first = supervise(root)
    first.process.kill()
    psutil.Process(read_server(root).pid).kill()
    second = supervise(root, port=first.port)
    # The first server's worker may answer for a moment yet, and the second server may not have said yet who it is.
    eventually(lambda: (server := read_server(root)) and servers_of(root, processes_of) == [server.pid])
    eventually(lambda: version_of(second) == ["1"])


@pytest.mark.slow
def test_a_supervisor_killed_while_its_server_starts_is_followed_by_one_that_finds_it(
    start, supervise, root, eventually, processes_of
):
    first = start(root, module=MODULE)
    eventually(lambda: servers_of(root, processes_of))
    first.process.kill()
    second = supervise(root, port=first.port)
    eventually(lambda: len(servers_of(root, processes_of)) == 1)
    assert version_of(second) == ["1"]
    assert second.process.poll() is None


@pytest.mark.slow
def test_a_worker_that_is_killed_again_and_again_is_started_again(supervise, root, eventually):
    supervisor = supervise(root)
    for _ in range(2):
        server = psutil.Process(read_server(root).pid)
        for worker in server.children():
            worker.kill()
        eventually(lambda: version_of(supervisor) == ["1"])
    assert supervisor.process.poll() is None


def test_a_server_on_another_port_than_is_wanted_is_replaced(supervise, root, processes_of):
    first = supervise(root)
    first.process.kill()
    second = supervise(root)
    assert second.port != first.port
    assert read_server(root).port == second.port
    assert len(servers_of(root, processes_of)) == 1
    check_port("127.0.0.1", first.port)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_stop_ends_all_of_it(supervise, root, processes_of, number):
    supervisor = supervise(root, workers=2)
    supervisor.process.send_signal(number)
    assert supervisor.process.wait(15) == 0
    assert processes_of(root) == []
    check_port("127.0.0.1", supervisor.port)


def test_a_server_that_is_stopped_by_itself_ends_its_supervisor(supervise, root):
    supervisor = supervise(root)
    psutil.Process(read_server(root).pid).terminate()
    assert supervisor.process.wait(15) == 0


def test_a_port_that_is_taken_ends_the_supervisor_with_the_servers_sentence(start, root):
    with socket.create_server(("127.0.0.1", 0)) as other:
        supervisor = start(root, module=MODULE, port=other.getsockname()[1])
        assert supervisor.process.wait(15) == 3
    assert "The inference server cannot listen on" in supervisor.said()


def test_a_second_supervisor_of_a_root_is_refused(supervise, start, root):
    first = supervise(root)
    second = start(root, module=MODULE)
    assert second.process.wait(10) == 3
    assert "has a supervisor already" in second.said()
    assert version_of(first) == ["1"]


@pytest.mark.slow
def test_a_server_that_cannot_start_is_tried_again_ever_more_slowly(start, tmp_path, eventually):
    root = tmp_path / "root"
    root.mkdir()
    root.joinpath(".server.lock").mkdir()
    supervisor = start(root, module=MODULE)
    eventually(lambda: "started again in 0.8 s" in supervisor.said(), 20)
    waits = [line.split(" in ")[1] for line in supervisor.said().splitlines() if "started again" in line]
    assert waits[:3] == ["0.2 s", "0.4 s", "0.8 s"]
    assert supervisor.stop() == 0


def test_a_supervisor_is_light():
    code = (
        "import sys, everfresh.serving.supervisor\n"
        "foreign = {name.split('.')[0] for name in sys.modules} - sys.stdlib_module_names - {'everfresh', '__main__'}\n"
        "print(sorted(foreign), 'everfresh.errors' in sys.modules)"
    )
    answer = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=False)
    assert answer.stdout.strip().endswith("False"), answer.stderr
    assert "numpy" not in answer.stdout
