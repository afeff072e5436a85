"""Askers that are slow, many, impatient or gone, and the others, who do not notice."""

from __future__ import annotations

import json
import socket
import time
from contextlib import ExitStack

import httpx
import pytest

SLOW = (
    "import time\nfrom everfresh.serving import dataplane\nquick = dataplane._score\n"
    "def slow(*arguments):\n    time.sleep(0.5)\n    return quick(*arguments)\n"
    "dataplane._score = slow\n"
)
HASTY = "import everfresh.serving.server as server; server.HEADER_SECONDS = 1"


def test_hundreds_of_connections_that_say_little_hold_nobody_up(served, plain):
    body = json.dumps({"inputs": plain}).encode()
    began = [
        b"",
        b"POST /invocations HTT",
        b"POST /invocations HTTP/1.1\r\nHost: localhost\r\nX-Slow: ",
        b"POST /invocations HTTP/1.1\r\nHost: localhost\r\nX-Model: flights\r\nContent-Length: %d\r\n\r\n" % len(body),
    ]
    with ExitStack() as stack:
        for number in range(300):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", served.port), timeout=10))
            connection.sendall(began[number % len(began)])
        seconds = []
        for _ in range(20):
            started = time.monotonic()
            answer = served.post("/invocations", content=body, headers={"x-model": "flights"})
            seconds.append(time.monotonic() - started)
            assert answer.status_code == 200
        assert sorted(seconds)[10] < 1


def test_a_head_that_does_not_end_is_given_up(serve, root):
    server = serve(root, constants=HASTY)
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(b"POST /invocations HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
        started = time.monotonic()
        received = b""
        while part := connection.recv(65536):
            received += part
        assert 0.5 < time.monotonic() - started < 8
        assert received == b"" or received.startswith(b"HTTP/1.1 4")
    assert server.get("/v2/health/live").status_code == 200


@pytest.mark.parametrize("header", ["x-request-timeout-ms", "x-envoy-expected-rq-timeout-ms"])
def test_a_request_whose_time_is_over_is_not_computed(served, plain, header):
    for waits_ms, status in (("0", 504), ("30000", 200)):
        headers = {"x-model": "flights", header: waits_ms}
        answer = served.post("/invocations", json={"inputs": plain}, headers=headers)
        assert answer.status_code == status
        assert (answer.json().get("code") == "deadline_exceeded") is (status == 504)


@pytest.mark.parametrize("value", ["soon", "-1", "1e3", "", "99999999999"])
def test_a_time_limit_that_is_none_is_refused(served, plain, value):
    refused = served.post(
        "/invocations", json={"inputs": plain}, headers={"x-model": "flights", "x-request-timeout-ms": value}
    )
    assert (refused.status_code, refused.json()["code"]) == (400, "bad_header")


def test_a_client_that_goes_away_while_it_waits_frees_its_place(serve, root, plain, eventually):
    server = serve(root, constants=SLOW)
    body = json.dumps({"inputs": plain}).encode()
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
            head = b"POST /invocations HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body)
            connection.sendall(head + body)
    with httpx.Client(base_url=server.url, timeout=20) as client:
        assert client.post("/invocations", content=body).status_code == 200
        text = client.get("/metrics").text
    assert "everfresh_requests_in_flight 1\n" in text
    assert 'everfresh_waiting_rows{model="flights"} 0' in text
