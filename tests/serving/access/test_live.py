"""The policy behind the real HTTP server: what comes over the wire is not what a test's headers look like."""

from __future__ import annotations

import pytest

from everfresh.serving.access.roles import Role

UNLOAD = "/v2/repository/models/flights/unload"


def request(method="POST", path="/invocations", *lines, host="127.0.0.1"):
    named = [f"Host: {host}"] if host is not None else []
    head = [f"{method} {path} HTTP/1.1", *named, *lines, "Connection: close", "Content-Length: 0", "", ""]
    return "\r\n".join(head).encode("latin-1")


@pytest.fixture
def keys(make_key):
    return {role: make_key(role.value, role) for role in Role}


@pytest.fixture
def server(keys, live):
    """A server that asks for keys."""
    return live()


TRICKS = [
    UNLOAD, f"{UNLOAD}/", f"/{UNLOAD}", f"{UNLOAD}/health", f"{UNLOAD}/../../../../../../ping", f"/ping/..{UNLOAD}",
    f"/health/live/..{UNLOAD}", f"/ping%2f..{UNLOAD}", f"/ping;{UNLOAD}", f"/ping%00{UNLOAD}", f"/./{UNLOAD[1:]}",
    UNLOAD.upper(), UNLOAD.replace("/", "%2f"), UNLOAD.replace("/", "%252f"), UNLOAD.replace("/", "\\"),
    f"{UNLOAD}?path=/ping", f"{UNLOAD}#/ping", f"{UNLOAD};a=b", f"{UNLOAD}%20", f"{UNLOAD}.json", f"{UNLOAD}/ping",
    f"http://127.0.0.1{UNLOAD}", f"http://127.0.0.1/ping/..{UNLOAD}", "/%76%32/repository/models/flights/unload",
    "/PING", "/ping/", "//ping", "/health/live/x", "/x/health/live", "/health/live%2f..", "*", "/",
]  # fmt: skip


def test_no_way_of_writing_a_path_comes_past_the_question_who_is_there(server, keys):
    for path in TRICKS:
        for method in ("POST", "GET", "DELETE", "OPTIONS", "TRACE", "PATCH"):
            status, answer = server.send(request(method, path))
            assert status in (400, 401), (method, path, answer)
        assert server.send(request("POST", path, f"Authorization: Bearer {keys[Role.PREDICT]}"))[0] in (400, 403, 404)


def test_health_and_nothing_else_is_open(server):
    for path in ("/ping", "/health/live"):
        assert server.send(request("GET", path))[0] == 200
        assert server.send(request("GET", path, "Authorization: Bearer nonsense"))[0] == 200
        assert server.send(request("POST", path))[0] == 401


def test_each_key_opens_what_its_role_says(server, keys):
    for path, role, status in (
        ("/invocations", Role.PREDICT, 200), ("/invocations", Role.READ, 403), ("/invocations", Role.ADMIN, 200),
        (UNLOAD, Role.PREDICT, 403), (UNLOAD, Role.READ, 403), (UNLOAD, Role.ADMIN, 200),
    ):  # fmt: skip
        assert server.send(request("POST", path, f"Authorization: Bearer {keys[role]}"))[0] == status, (path, role)


def test_an_answer_to_strangers_says_how_to_come_in_and_not_what_was_wrong(server, keys):
    good = keys[Role.PREDICT]
    bodies = set()
    for lines in ([], [f"Authorization: Bearer {good}x"], ["Authorization: Basic YTpi"], ["Authorization:"]):
        status, answer = server.send(request("POST", "/invocations", *lines))
        head, _, body = answer.partition(b"\r\n\r\n")
        assert status == 401
        assert b"\r\nwww-authenticate: bearer\r\n" in head.lower() + b"\r\n"
        assert b"access-control" not in head.lower()
        bodies.add(body)
    assert len(bodies) == 1


def test_two_credentials_and_folded_or_foreign_bytes_are_no_credential(server, keys):
    good = f"Authorization: Bearer {keys[Role.ADMIN]}"
    for lines in (
        [good, good],
        [good, "Authorization: Bearer x"],
        ["Authorization: Bearer x", good],
        [f"{good},Bearer x"],
        [f"{good}\xff"],
        [f"X-{good}"],
        [good.replace("Bearer ", "Bearer\r\n ")],
        [good.replace(":", " :")],
        [f"{good[:-3]}\0"],
        [f"Proxy-{good}"],
        ["Authorization: Bearer " + "A" * 200_000],
    ):
        status, answer = server.send(request("POST", UNLOAD, *lines))
        assert status in (400, 401, 431), (lines, answer)
    assert server.send(request("POST", UNLOAD, good))[0] == 200
    assert server.send(request("POST", UNLOAD, good.upper().split(":")[0] + good[13:]))[0] == 200


def test_a_page_of_another_site_is_refused_by_the_name_it_came_by(live):
    server = live()
    assert server.send(request(host="localhost:1"))[0] == 200
    assert server.send(request(host=None))[0] in (200, 400)
    for host in ("evil.example", "127.0.0.1.evil.example:8080", "169.254.169.254", ""):
        assert server.send(request(host=host))[0] == 421
        assert server.send(request("GET", "/ping", host=host))[0] == 421
    assert server.send(request("POST", "http://evil.example/invocations"))[0] == 421
    for origin in ("https://evil.example", "null"):
        status, answer = server.send(request("POST", "/invocations", f"Origin: {origin}"))
        assert status == 403
        assert b"access-control" not in answer.lower()
    assert server.send(request("OPTIONS", "/invocations", "Origin: https://evil.example"))[0] == 403


def test_a_websocket_is_never_accepted(server, keys):
    lines = ["Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="]
    head = "\r\n".join(["GET /ping HTTP/1.1", "Host: 127.0.0.1", "Connection: Upgrade, close", *lines, "", ""])
    assert server.send(head.encode())[0] != 101
