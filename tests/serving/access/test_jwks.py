"""The public keys of an issuer: which of them count, and how they come here."""

from __future__ import annotations

import json
import logging
import ssl
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from everfresh.errors import TokenKeysUnreadable
from everfresh.serving.access import files
from everfresh.serving.access.fetching import fetched
from everfresh.serving.access.jwks import KeysAtUrl, KeysInFile, key_set, signing_keys


def as_bytes(content):
    return json.dumps(content).encode()


def test_each_key_has_the_one_algorithm_that_follows_from_what_it_is(issuer):
    found = signing_keys(as_bytes(issuer.jwks()))
    assert {kid: key.algorithm_name for kid, key in found.items()} == {"rsa": "RS256", "ec": "ES256"}


@pytest.mark.parametrize(
    "changes",
    [{"use": "enc"}, {"alg": "RS512"}, {"alg": "none"}, {"alg": "HS256"}, {"kty": "oct"}, {"key_ops": ["encrypt"]},
     {"kid": None}, {"kid": 7}, {"n": "!", "x": "!"}, {"n": None, "x": None}, {"crv": "P-521"}],
    ids=str,
)  # fmt: skip
def test_a_key_that_is_for_something_else_is_passed_over(issuer, changes):
    if "crv" in changes:
        issuer = type(issuer)({"ec": issuer.keys["ec"]})
    with pytest.raises(ValueError, match="no RSA key of 2048 bits and no P-256 key"):
        signing_keys(as_bytes(issuer.jwks(**changes)))


def test_weak_and_foreign_kinds_of_keys_are_passed_over(issuer):
    weak = type(issuer)({"weak": rsa.generate_private_key(65537, 1024), "far": ec.generate_private_key(ec.SECP384R1())})
    shared = {"kty": "oct", "kid": "shared", "k": "c2VjcmV0"}
    found = signing_keys(as_bytes({"keys": [*weak.jwks()["keys"], shared, *issuer.jwks()["keys"]]}))
    assert found.keys() == {"rsa", "ec"}


def test_a_second_key_of_one_name_does_not_take_the_place_of_the_first(issuer, stranger):
    both = {"keys": [*issuer.jwks()["keys"], *stranger.jwks()["keys"]]}
    found = signing_keys(as_bytes(both))
    assert found["rsa"].key.public_numbers() == issuer.keys["rsa"].public_key().public_numbers()


def test_a_private_key_that_is_shown_by_mistake_is_not_kept(issuer):
    from jwt.algorithms import RSAAlgorithm

    entry = {**RSAAlgorithm.to_jwk(issuer.keys["rsa"], as_dict=True), "kid": "rsa", "key_ops": ["verify"]}
    found = signing_keys(as_bytes({"keys": [entry]}))
    assert not hasattr(found["rsa"].key, "sign")


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[]", b"null", b'{"keys": 3}', b'{"keys": [3]}', b"\xff", b"[" * 99_999]
)
def test_what_is_no_jwks_is_refused(content, tmp_path):
    with pytest.raises(ValueError):  # noqa: PT011 - its sentence is the JSON reader's
        signing_keys(content)
    (tmp_path / "jwks.json").write_bytes(content)
    with pytest.raises(TokenKeysUnreadable, match="EVERFRESH_OIDC_JWKS names a JWKS file"):
        key_set(str(tmp_path / "jwks.json"))


def test_a_file_that_is_not_there_or_that_others_may_write_is_refused(jwks_file, tmp_path):
    with pytest.raises(TokenKeysUnreadable, match="No such file"):
        key_set(str(tmp_path / "nothing.json"))
    jwks_file.chmod(0o666)
    with pytest.raises(TokenKeysUnreadable, match="chmod go-w"):
        key_set(str(jwks_file))


def test_a_file_is_read_again_when_the_issuer_has_a_new_key(jwks_file, issuer, monkeypatch):
    monkeypatch.setattr(files, "LOOK_EVERY_S", -1.0)
    keys = key_set(str(jwks_file))
    assert isinstance(keys, KeysInFile)
    assert keys.find("new") is None
    jwks_file.write_text(json.dumps(type(issuer)({"new": issuer.keys["ec"]}).jwks()))
    assert keys.find("new") is not None
    assert keys.find("rsa") is None


class Answers(BaseHTTPRequestHandler):
    """Answers what its server says, or as slowly as it says."""

    def do_GET(self):
        self.server.asked.append(self.path)
        status, body, pause = self.server.answer
        if not status:
            self.wfile.write(body)
            return
        self.send_response(status)
        self.send_header("Location", "/elsewhere")
        self.end_headers()
        try:
            for start in range(0, len(body), max(1, len(body) // 20)):
                self.wfile.write(body[start : start + max(1, len(body) // 20)])
                self.wfile.flush()
                time.sleep(pause)
        except OSError:
            pass

    def log_message(self, *arguments):
        pass


@contextmanager
def https_server(pair):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.cert, pair.key)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    server.daemon_threads = True
    server.handle_error = lambda *arguments: None  # a caller that does not trust it hangs up
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.asked, server.answer = [], (200, b"", 0.0)
    server.url = f"https://127.0.0.1:{server.server_port}/jwks"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def server(authority, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with https_server(authority.issue("issuer", for_servers=True)) as running:
        yield running


def eventually(holds, seconds=5.0):
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def test_keys_at_an_address_are_known_when_the_server_has_started(server, issuer):
    server.answer = (200, as_bytes(issuer.jwks()), 0.0)
    keys = key_set(server.url)
    assert server.asked == []  # nothing is asked before the worker has its process
    keys.start()
    assert keys.find("rsa").algorithm_name == "RS256"
    assert server.asked == ["/jwks"]


def test_unknown_keys_are_looked_for_at_most_once_a_minute_and_nobody_waits_for_it(server, issuer):
    server.answer = (200, as_bytes(issuer.jwks()), 0.0)
    keys = KeysAtUrl(server.url)
    keys.start()
    server.answer = (200, as_bytes(issuer.jwks()), 0.05)
    began = time.monotonic()
    assert [keys.find(f"k{number}") for number in range(2000)] == [None] * 2000
    assert time.monotonic() - began < 0.5
    assert server.asked == ["/jwks"]


def test_after_that_a_new_key_is_found(server, issuer, stranger):
    server.answer = (200, as_bytes(issuer.jwks()), 0.0)
    keys = KeysAtUrl(server.url, every_s=0.0)
    keys.start()
    server.answer = (200, as_bytes(type(issuer)({"new": stranger.keys["ec"]}).jwks()), 0.0)
    assert keys.find("new") is None
    eventually(lambda: keys.find("new") is not None)


def test_keys_are_renewed_before_anybody_names_an_unknown_one(server, issuer, stranger):
    server.answer = (200, as_bytes(issuer.jwks()), 0.0)
    keys = KeysAtUrl(server.url, every_s=0.0, renew_after_s=0.0)
    keys.start()
    server.answer = (200, as_bytes(stranger.jwks()), 0.0)
    theirs = stranger.keys["rsa"].public_key().public_numbers()
    eventually(lambda: keys.find("rsa").key.public_numbers() == theirs)


@pytest.mark.parametrize(
    "answer",
    [
        (0, b"nonsense\r\n", 0.0),
        (0, b"", 0.0),
        (0, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{", 0.0),
        (500, b"{}", 0.0),
        (302, b"", 0.0),
        (200, b"<html>", 0.0),
        (200, b'{"keys": []}', 0.0),
    ],
    ids=str,
)
def test_where_the_address_fails_the_keys_that_were_known_stay(server, issuer, answer, caplog):
    caplog.set_level(logging.ERROR)
    server.answer = (200, as_bytes(issuer.jwks()), 0.0)
    keys = KeysAtUrl(server.url, every_s=0.0)
    keys.start()
    server.answer = answer
    assert keys.find("unknown") is None
    eventually(lambda: "those known stay" in caplog.text)
    assert keys.find("rsa") is not None
    assert set(server.asked) == {"/jwks"}  # a redirection is not followed


def test_an_answer_that_is_too_long_or_too_slow_is_not_waited_for(server):
    server.answer = (200, b"x" * 2_000_000, 0.0)
    with pytest.raises(ValueError, match="longer than"):
        fetched(server.url)
    server.answer = (200, b"x" * 20, 0.1)
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        fetched(server.url, seconds=0.4)
    assert time.monotonic() - began < 1.5


def test_an_address_with_a_certificate_of_a_foreign_authority_gives_no_keys(server, make_authority, issuer, caplog):
    with https_server(make_authority("foreign").issue("issuer", for_servers=True)) as foreign:
        foreign.answer = (200, as_bytes(issuer.jwks()), 0.0)
        keys = KeysAtUrl(foreign.url)
        keys.start()
        assert keys.find("rsa") is None
        assert foreign.asked == []
        assert "CERTIFICATE_VERIFY_FAILED" in caplog.text
