from __future__ import annotations

import os
import threading
from datetime import timedelta

import pytest

from everfresh.errors import BundleExists, StateUnreadable
from everfresh.packaging.bundle import open_bundle
from everfresh.serving.presence import ServerInfo, forget_server, hold_root, is_held, last_server, write_server
from everfresh.serving.versions.desired import DesiredModel
from everfresh.serving.versions.state import (
    DesiredState,
    WorkerReport,
    bundle_directory,
    convergence,
    forget_worker,
    forget_workers,
    install_bundle,
    read_desired,
    read_server,
    read_workers,
    remove_bundle,
    wait_until_served,
    want_removed,
    want_version,
    write_worker,
)


@pytest.fixture
def running(tmp_path):
    """A root that this process says it serves, with two workers."""
    lock = hold_root(tmp_path)
    write_server(tmp_path, ServerInfo(os.getpid(), "127.0.0.1", 1, 2))
    want_version(tmp_path, "flights", 3)
    yield tmp_path
    lock.close()


def report(root, pid, versions, *, generation=1, errors=None):
    write_worker(root, WorkerReport(pid, generation, versions, errors or {}))


def test_nobody_wants_anything_at_first(tmp_path):
    assert read_desired(tmp_path) == DesiredState(0, {})


def test_each_wish_is_a_new_generation_and_keeps_the_others(tmp_path):
    want_version(tmp_path, "flights", 1)
    want_version(tmp_path, "trains", 4)
    want_version(tmp_path, "flights", 2)
    assert read_desired(tmp_path) == DesiredState(3, {"flights": DesiredModel(2), "trains": DesiredModel(4)})
    assert want_removed(tmp_path, "flights") == DesiredState(4, {"trains": DesiredModel(4)})


def test_wishes_at_the_same_time_lose_none(tmp_path):
    threads = [threading.Thread(target=want_version, args=(tmp_path, f"m{n}", n + 1)) for n in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert read_desired(tmp_path) == DesiredState(10, {f"m{n}": DesiredModel(n + 1) for n in range(10)})


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "5", '{"models": []}', '{"models": {"a": {}}}', '{"models": {"a": {"version": 0}}}',
                '{"models": {"a": {"version": "1"}}}', '{"models": {"a": {"version": true}}}']
)  # fmt: skip
def test_a_state_that_is_none_is_refused_with_what_to_do(tmp_path, content):
    (tmp_path / "serving.json").write_text(content)
    with pytest.raises(StateUnreadable, match="Deploy again to write it anew"):
        read_desired(tmp_path)


def test_a_bundle_is_installed_once_under_its_version(tmp_path, v1, v2):
    installed = install_bundle(tmp_path, v1.bundle, version=1)
    assert install_bundle(tmp_path, v1.bundle, version=1) == installed
    assert open_bundle(bundle_directory(tmp_path, "flights", 1)).manifest.version == 1
    with pytest.raises(BundleExists):
        install_bundle(tmp_path, v2.bundle, version=1)
    remove_bundle(tmp_path, "flights", 1)
    remove_bundle(tmp_path, "flights", 1)
    assert not bundle_directory(tmp_path, "flights", 1).exists()


def test_a_server_is_there_only_while_it_holds_its_root(tmp_path):
    info = ServerInfo(os.getpid(), "127.0.0.1", 1, 2)
    write_server(tmp_path, info)
    assert (read_server(tmp_path), last_server(tmp_path)) == (None, info)
    with hold_root(tmp_path):
        assert read_server(tmp_path) == info
        assert hold_root(tmp_path) is None
    assert read_server(tmp_path) is None
    forget_server(tmp_path)
    forget_server(tmp_path)
    assert last_server(tmp_path) is None


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"pid": 1, "more": 2}'])
def test_a_server_file_that_says_nothing_is_no_server(tmp_path, content):
    (tmp_path / "server.json").write_text(content)
    assert last_server(tmp_path) is None


def test_a_lock_that_nobody_ever_took_is_not_held(tmp_path):
    assert not is_held(tmp_path / "lock")


@pytest.mark.parametrize(
    ("host", "url"),
    [("127.0.0.1", "http://127.0.0.1:80"), ("0.0.0.0", "http://127.0.0.1:80"), ("::1", "http://[::1]:80"),
     ("::", "http://127.0.0.1:80"), ("box", "http://box:80")],
)  # fmt: skip
def test_the_address_of_a_server_is_one_that_clients_can_use(host, url):
    assert ServerInfo(1, host, 80, 1).url == url


def test_a_version_is_served_when_every_worker_says_so(running):
    assert convergence(running, "flights", 3).reason == "0 of 2 workers serve version 3 of 'flights'"
    report(running, os.getpid(), {"flights": 3})
    assert convergence(running, "flights", 3).reason == "1 of 2 workers serve version 3 of 'flights'"
    report(running, os.getppid(), {"flights": 3})
    found = convergence(running, "flights", 3)
    assert (found.served, found.reason) == (True, "2 of 2 workers serve version 3 of 'flights'")


def test_what_a_worker_said_of_an_older_wish_does_not_count(running):
    report(running, os.getpid(), {"flights": 3})
    report(running, os.getppid(), {"flights": 3})
    want_version(running, "flights", 3)
    assert not convergence(running, "flights", 3).served


def test_a_worker_that_failed_is_the_reason_and_ends_the_waiting(running):
    report(running, os.getpid(), {"flights": 2}, errors={"flights": "it is damaged"})
    assert wait_until_served(running, "flights", 3, timedelta(seconds=60)).reason == "it is damaged"


def test_waiting_ends_with_the_time(running):
    assert not wait_until_served(running, "flights", 3, timedelta(seconds=0.1)).served


def test_a_version_that_nobody_asks_for_is_not_served(running):
    assert "is not what the server is asked to serve" in convergence(running, "flights", 4).reason


def test_without_a_server_nothing_is_served(tmp_path):
    want_version(tmp_path, "flights", 1)
    assert convergence(tmp_path, "flights", 1).reason == f"no inference server runs on {tmp_path}"


def test_reports_of_the_dead_do_not_count_and_can_be_forgotten(tmp_path):
    gone = 2**22 + 1  # above the largest number that Linux gives to a process
    report(tmp_path, gone, {"flights": 1})
    report(tmp_path, os.getpid(), {"flights": 1})
    assert [worker.pid for worker in read_workers(tmp_path)] == [os.getpid()]
    forget_worker(tmp_path, os.getpid())
    assert read_workers(tmp_path) == ()
    forget_workers(tmp_path)
    assert list((tmp_path / "workers").iterdir()) == []
