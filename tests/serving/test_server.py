"""A server from its start to its end, whichever end that is."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from datetime import timedelta

import psutil
import pytest

from everfresh.data.inference_log import read_log
from everfresh.errors import PortTaken
from everfresh.serving.server import check_port
from everfresh.serving.versions.state import (
    convergence,
    inference_root,
    read_server,
    read_workers,
    wait_until_served,
    want_version,
)

SLOW = (
    "import time\nfrom everfresh.serving import dataplane\nquick = dataplane._score\n"
    "def slow(*arguments):\n    time.sleep(0.7)\n    return quick(*arguments)\n"
    "dataplane._score = slow"
)


def tensors(plain, repeat=1):
    return {"inputs": [{"name": name, "data": values * repeat} for name, values in plain.items()]}


def ask(server, plain, repeat=1):
    return server.post("/v2/models/flights/infer", json=tensors(plain, repeat))


def test_a_server_says_where_it_is_and_leaves_nothing_behind(serve, root, processes_of):
    server = serve(root, workers=2)
    info = read_server(root)
    assert (info.pid, info.url, info.workers) == (server.process.pid, server.url, 2)
    assert wait_until_served(root, "flights", 1, timedelta(seconds=10)).served
    assert {report.pid for report in read_workers(root)} == {worker.pid for worker in server.workers()}
    assert server.stop() == 0
    assert read_server(root) is None
    assert read_workers(root) == ()
    assert processes_of(root) == []
    check_port("127.0.0.1", server.port)
    assert convergence(root, "flights", 1).reason.startswith("no inference server runs on")


@pytest.mark.parametrize("repeat", [1, 50], ids=["on the loop", "in a thread"])
def test_a_stop_answers_what_is_being_asked_and_writes_the_log(serve, root, plain, repeat):
    server = serve(root, constants=SLOW)
    answers = []
    asking = threading.Thread(target=lambda: answers.append(ask(server, plain, repeat)))
    asking.start()
    time.sleep(0.3)
    assert server.stop() == 0
    asking.join(10)
    assert [answer.status_code for answer in answers] == [200]
    assert len(read_log(inference_root(root), "flights")) == 40 * repeat


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_stop_writes_what_was_answered_just_now(serve, root, plain, number):
    server = serve(root)
    for _ in range(5):
        assert ask(server, plain).status_code == 200
    server.process.send_signal(number)
    assert server.process.wait(15) == 0
    assert len(read_log(inference_root(root), "flights")) == 200


@pytest.mark.parametrize("after_s", [0.0, 0.1, 0.2, 0.3])
def test_a_stop_while_it_starts_is_a_stop(start, root, eventually, processes_of, after_s):
    server = start(root)
    eventually(lambda: (root / "server.json").exists())
    time.sleep(after_s)
    began = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - began < 3
    assert processes_of(root) == []


def test_a_worker_that_is_killed_is_started_again(serve, root, plain, eventually):
    server = serve(root)
    (worker,) = server.workers()
    worker.kill()
    # Nobody listens for a moment; whoever does can answer.
    assert eventually(lambda: ask(server, plain)).status_code == 200
    assert convergence(root, "flights", 1).served
    assert server.process.poll() is None


def test_the_worker_of_a_server_that_is_killed_ends_itself_and_writes_the_log(serve, root, plain, eventually):
    server = serve(root)
    (worker,) = server.workers()
    assert ask(server, plain).status_code == 200
    server.process.kill()
    server.process.wait(5)
    eventually(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE)
    assert read_server(root) is None
    check_port("127.0.0.1", server.port, patience_s=1)
    assert len(read_log(inference_root(root), "flights")) == 40
    assert "The server process is gone" in server.said()


def test_a_server_follows_one_that_was_killed_at_once_on_the_same_port(serve, start, root, plain, eventually):
    first = serve(root)
    first.process.kill()
    second = start(root, port=first.port)
    eventually(lambda: (info := read_server(root)) and info.pid == second.process.pid)
    assert eventually(lambda: ask(second, plain)).status_code == 200


def test_a_restart_serves_the_same_version_and_keeps_the_log(serve, root, plain):
    want_version(root, "flights", 2)
    for _ in range(2):
        server = serve(root)
        assert ask(server, plain).json()["model_version"] == "2"
        assert server.stop() == 0
    assert len(read_log(inference_root(root), "flights")) == 80


def test_a_port_that_is_taken_ends_the_server_with_a_sentence(start, root):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        server = start(root, port=port)
        assert server.process.wait(10) == 3
    assert f"The inference server cannot listen on 127.0.0.1:{port}: Address already in use." in server.said()
    assert "choose another port" in server.said()
    assert "Traceback" not in server.said()


def test_a_second_server_on_the_same_root_ends_with_a_sentence(serve, start, root):
    first = serve(root)
    second = start(root)
    assert second.process.wait(10) == 3
    assert f"An inference server runs on {root} already (process {first.process.pid})" in second.said()
    assert read_server(root).pid == first.process.pid


def test_what_an_earlier_boot_left_behind_is_nobody(serve, root):
    """Process numbers begin again with every start of a machine; here, the test's own is what another server had."""
    root.joinpath("server.json").write_text(f'{{"pid": {os.getpid()}, "host": "127.0.0.1", "port": 1, "workers": 1}}')
    workers = root / "workers"
    workers.mkdir()
    workers.joinpath(f"{os.getpid()}.json").write_text(
        f'{{"pid": {os.getpid()}, "generation": 99, "versions": {{"flights": 1}}, "errors": {{}}}}'
    )
    assert read_server(root) is None
    server = serve(root)
    assert {report.pid for report in read_workers(root)} == {worker.pid for worker in server.workers()}


def test_an_address_that_is_not_this_machines_is_refused():
    with pytest.raises(PortTaken, match=r"The inference server cannot listen on 192\.0\.2\.1:8: "):
        check_port("192.0.2.1", 8)
    with pytest.raises(PortTaken, match="port must be"):
        check_port("127.0.0.1", 70_000)
