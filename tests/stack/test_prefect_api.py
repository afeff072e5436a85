"""Talking to a Prefect server that has moods."""

from __future__ import annotations

import base64
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from everfresh.errors import PrefectRefused
from everfresh.stack.prefect_api import end_abandoned_runs, is_healthy, make_work_pool, worker_reported_since


@contextmanager
def server(*answers):
    """A server that gives these answers (status, body), the last one again and again; and what it was asked."""
    asked, left = [], list(answers)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            asked.append((self.path, json.loads(body) if body else None, self.headers.get("authorization")))
            status, content = left.pop(0) if len(left) > 1 else left[0]
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(content).encode())

        do_GET = do_POST

        def log_message(self, *_):
            pass

    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{running.server_port}/api", asked
    finally:
        running.shutdown()
        thread.join()
        running.server_close()


def test_a_locked_database_is_waited_for():
    with server((503, {}), (503, {}), (201, {})) as (api, asked):
        make_work_pool(api)
    assert len(asked) == 3


def test_a_pool_that_is_there_is_left_as_it_is():
    with server((409, {"detail": "A work pool with this name already exists."})) as (api, asked):
        make_work_pool(api)
    assert [body for _, body, _ in asked] == [{"name": "everfresh", "type": "process"}]


@pytest.mark.parametrize(("status", "body"), [(401, {"detail": "Unauthorized"}), (500, {"detail": "Unauthorized"})])
def test_a_refusal_is_told_with_what_the_server_said(status, body):
    with server((status, body)) as (api, asked), pytest.raises(PrefectRefused, match=f"{status} .*Unauthorized"):
        make_work_pool(api)
    assert len(asked) == 1


def test_a_server_that_is_not_there_is_unhealthy_and_refuses(free_port):
    api = f"http://127.0.0.1:{free_port()}/api"
    assert not is_healthy(api)
    assert not worker_reported_since(api, 0.0)
    with pytest.raises(PrefectRefused, match=api):
        make_work_pool(api)


@pytest.mark.parametrize(
    ("variable", "value", "header"),
    [
        ("PREFECT_API_AUTH_STRING", "me:word", f"Basic {base64.b64encode(b'me:word').decode()}"),
        ("PREFECT_API_KEY", "pnu_1", "Bearer pnu_1"),
    ],
)
def test_a_server_with_a_password_is_asked_with_it(monkeypatch, variable, value, header):
    monkeypatch.setenv(variable, value)
    with server((200, [])) as (api, asked):
        assert is_healthy(api)
        assert end_abandoned_runs(api) == 0
    assert {authorization for _, _, authorization in asked} == {header}


@pytest.mark.parametrize(("report", "seen"), [("2026-01-01T00:00:01Z", True), ("2025-12-31T23:59:59Z", False)])
def test_a_worker_of_before_is_not_taken_for_the_one_that_was_started(report, seen):
    started = 1767225600.0  # 2026-01-01 in UTC
    with server((200, [{"last_heartbeat_time": None}, {"last_heartbeat_time": report}])) as (api, _):
        assert worker_reported_since(api, started) is seen
