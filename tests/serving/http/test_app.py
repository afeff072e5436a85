"""The limits and the one shape of errors, over real connections."""

from __future__ import annotations

import json
import socket
import time

import httpx
import pytest

from everfresh.serving.versions.state import install_bundle, want_version

INFER = "/v2/models/flights/infer"
MEBIBYTE = 1024 * 1024


def exchange(server, *parts, seconds=10.0):
    """Send bytes as they are, and what came back until the server closed or had answered once."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=seconds) as connection:
        for part in parts:
            try:
                connection.sendall(part)
            except (BrokenPipeError, ConnectionResetError):
                break
        received = b""
        while b"\r\n\r\n" not in received or not received.rstrip().endswith(b"}"):
            try:
                part = connection.recv(65536)
            except ConnectionResetError:
                break
            if not part:
                break
            received += part
    head, _, body = received.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body) if body else None


def head(length=None, path=INFER):
    framing = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    return f"POST {path} HTTP/1.1\r\nHost: localhost\r\n{framing}\r\n\r\n".encode()


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "not_found"),
        ("GET", "/v2/", 404, "not_found"),
        ("GET", "/V2", 404, "not_found"),
        ("GET", "/v2/models/../../etc/passwd", 404, "not_found"),
        ("GET", "/v2/models/fli%2Fghts", 404, "not_found"),
        ("GET", "/v2/models/flights/versions/1/other", 404, "not_found"),
        ("GET", INFER, 405, "method_not_allowed"),
        ("DELETE", "/v2/models/flights", 405, "method_not_allowed"),
        ("POST", "/metrics", 405, "method_not_allowed"),
        ("POST", "/v2/models/other/infer", 404, "unknown_model"),
        ("POST", "/v2/models/flights/versions/9/infer", 404, "unknown_version"),
    ],
)
def test_errors_have_one_shape(served, method, path, status, code):
    refused = httpx.request(method, served.url + path)
    assert refused.status_code == status
    assert refused.headers["content-type"] == "application/json"
    content = refused.json()
    assert content.keys() == {"error", "code", "request_id"}
    assert content["code"] == code
    assert content["error"].endswith(".")
    assert content["request_id"] == refused.headers["x-request-id"]


def test_a_wrong_method_is_told_the_right_ones(served):
    assert served.get(INFER).headers["allow"] == "POST"
    assert served.post("/v2").headers["allow"] == "GET, HEAD"


@pytest.mark.parametrize("path", ["/v2", "/v2/models/flights", "/v2/health/ready", "/ping", "/metrics"])
def test_head_is_get_without_a_body(served, path):
    asked = httpx.head(served.url + path)
    assert asked.status_code == 200
    assert asked.content == b""
    assert asked.headers["content-type"] == served.get(path).headers["content-type"]


def test_ping_is_sagemakers(served):
    assert (served.get("/ping").status_code, served.get("/ping").content) == (200, b"")


@pytest.mark.parametrize("path", ["/health/live", "/health/ready"])
def test_health_has_a_short_path_as_well(served, path):
    assert served.get(path).status_code == 200


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        (b"", "bad_json", "it is empty (byte 0)"),
        (b"   ", "bad_json", "it is empty"),
        (b"{", "bad_json", "The body is not JSON"),
        (b'{"inputs": [}', "bad_json", "(byte 12)"),
        (b'{"inputs": [1,]}', "bad_json", "The body is not JSON"),
        (b"{'inputs': []}", "bad_json", "(byte 1)"),
        (b'{"inputs": NaN}', "non_finite", "a missing value is written as null"),
        (b'{"inputs": [1.0, NaN]}', "non_finite", "NaN and Infinity are not JSON"),
        (b'{"inputs": [Infinity]}', "non_finite", "NaN and Infinity are not JSON"),
        (b'{"inputs": [-Infinity]}', "non_finite", "NaN and Infinity are not JSON"),
        (b'{"inputs": [1e999]}', "non_finite", ""),
        (b"[" * 100_000, "too_deep", "nested too deeply"),
        (b"[" * 3000 + b"]" * 3000, "too_deep", "nested too deeply"),
        (b'{"inputs": "\xff"}', "bad_encoding", "not UTF-8"),
        ('{"inputs": []}'.encode("utf-16"), "bad_encoding", "not UTF-8"),
        (b'\xef\xbb\xbf{"inputs": []}', "bad_encoding", "not UTF-8"),
        (b'"text"', "malformed", "not a JSON object"),
    ],
)  # fmt: skip
def test_a_body_that_is_not_json_is_refused_and_told_where(served, body, code, message):
    refused = served.post(INFER, content=body)
    assert refused.status_code == 400
    assert refused.json()["code"] == code
    assert message in refused.json()["error"]


def test_values_nested_as_deeply_as_json_allows_are_refused_too(served):
    body = b'{"inputs": [{"name": "distance", "data": [null, ' + b"[" * 1000 + b"]" * 1000 + b"]}]}"
    assert served.post(INFER, content=body).status_code in (400, 422)


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/octet-stream"])
def test_another_kind_of_body_is_refused(served, kind):
    refused = served.post(INFER, content=b"{}", headers={"content-type": kind})
    assert (refused.status_code, refused.json()["code"]) == (415, "unsupported_content")


def test_a_compressed_body_is_refused(served):
    refused = served.post(INFER, content=b"x", headers={"content-encoding": "gzip"})
    assert refused.status_code == 415
    assert "uncompressed" in refused.json()["error"]


def test_a_body_announced_as_too_large_is_refused_before_it_is_sent(served):
    began = time.monotonic()
    status, content = exchange(served, head(16 * MEBIBYTE + 1))
    assert (status, content["code"]) == (413, "too_large")
    assert time.monotonic() - began < 2


def test_a_body_that_grows_too_large_is_refused(served):
    chunk = b"100000\r\n" + b" " * MEBIBYTE + b"\r\n"
    status, content = exchange(served, head(), *[chunk] * 18, b"0\r\n\r\n")
    assert (status, content["code"]) == (413, "too_large")


def test_a_body_of_sixteen_mebibytes_is_read(served):
    refused = served.post(INFER, content=b" " * (16 * MEBIBYTE))
    assert (refused.status_code, refused.json()["code"]) == (400, "bad_json")


def test_a_body_may_come_in_chunks(served, plain):
    body = json.dumps({"inputs": [{"name": name, "data": values} for name, values in plain.items()]}).encode()
    answered = served.post(INFER, content=iter([body[:100], body[100:]]))
    assert answered.status_code == 200


@pytest.fixture(scope="module")
def hasty(start_shared, tmp_path_factory, v1, eventually):
    """A server with little patience and no room for requests that wait."""
    root = tmp_path_factory.mktemp("hasty") / "root"
    install_bundle(root, v1.bundle, version=1)
    want_version(root, "flights", 1)
    limits = "import everfresh.serving.http.app as app; app.BODY_SECONDS = 0.3; app.MOST_WAITING = 0"
    server = start_shared(root, constants=limits)
    eventually(lambda: server.get("/v2/health/ready").status_code == 200)
    return server


@pytest.mark.parametrize("sent", [head(100) + b"{", head() + b"1\r\n{\r\n"], ids=["announced", "in chunks"])
def test_a_body_that_does_not_arrive_is_given_up(hasty, sent):
    status, content = exchange(hasty, sent)
    assert (status, content["code"]) == (408, "too_slow")
    assert "within 0.3 s" in content["error"]


def test_more_waiting_requests_than_can_be_answered_soon_are_sent_away(hasty):
    refused = hasty.post("/v2/models/flights/labels", json={"labels": []})
    assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")
    assert refused.headers["retry-after"] == "1"


def test_a_client_that_goes_away_disturbs_nobody(served):
    for framing in (head(100) + b"{", head() + b"1\r\n{\r\n"):
        with socket.create_connection(("127.0.0.1", served.port)) as connection:
            connection.sendall(framing)
    assert served.get("/v2/health/ready").status_code == 200
    assert "Traceback" not in served.said()


def test_the_senders_request_id_comes_back_if_it_is_fit_for_a_log(served):
    assert served.get("/v2", headers={"x-request-id": "abc-1.2:3_4"}).headers["x-request-id"] == "abc-1.2:3_4"
    for unfit in ("a b", "a" * 65, "a;b"):
        assert served.get("/v2", headers={"x-request-id": unfit}).headers["x-request-id"] != unfit


def test_a_server_without_models_says_so(start, tmp_path, eventually, plain):
    server = start(tmp_path / "empty")
    eventually(lambda: server.get("/v2/health/live").status_code == 200)
    for path in ("/v2/health/ready", "/health/ready", "/ping"):
        assert server.get(path).status_code == 503
    assert server.get("/v2/models").json() == {"models": []}
    refused = server.post("/invocations", json={"inputs": plain})
    assert (refused.status_code, refused.json()["code"]) == (503, "not_ready")
    assert server.post(INFER, json={}).json()["error"].endswith("No model is served yet.")
