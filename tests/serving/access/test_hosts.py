"""Requests that a page of another site makes somebody's browser send."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from everfresh.serving.access.hosts import HostGuard, is_loopback, name_of, names_for
from everfresh.serving.access.refusals import ForeignHost, ForeignOrigin

LOCAL = HostGuard(names_for("127.0.0.1"))
PUBLIC = HostGuard(names_for("0.0.0.0"))


@pytest.mark.parametrize(
    "host",
    ["localhost", "localhost:8080", "LocalHost:1", "127.0.0.1", "127.0.0.1:65535", "[::1]", "[::1]:8080", None],
)
def test_a_server_of_this_machine_answers_for_this_machine_at_any_port(host):
    for _ in range(2):
        LOCAL.check({"host": host} if host is not None else {})


FOREIGN = [
    "evil.example", "evil.example:8080", "localhost.evil.example", "127.0.0.1.evil.example", "evil-localhost",
    "0.0.0.0", "192.168.1.4:8080", "", ":8080", "localhost:", "localhost:8080:8080", "localhost:80808080",
    "localhost@evil.example", "evil.example@localhost", "localhost/evil.example", "localhost evil.example",
    "localhost\n", "127.0.0.1,evil.example", "::1", "[::1", "[::1]evil", "[::ffff:127.0.0.1]", "127.1", "2130706433",
    "localhost.", "\uff4cocalhost", "localho\u017ft", "localhost:\uff18\uff10",
]  # fmt: skip


@pytest.mark.parametrize("host", FOREIGN)
def test_and_for_no_other_host(host):
    for _ in range(2):
        with pytest.raises(ForeignHost) as refused:
            LOCAL.check({"host": host})
    assert refused.value.status == 421
    assert str(refused.value).isprintable()


def test_the_host_of_the_request_line_counts_as_well():
    with pytest.raises(ForeignHost):
        LOCAL.check({"host": "127.0.0.1"}, authority="evil.example")
    with pytest.raises(ForeignHost):
        LOCAL.check({}, authority="evil.example")
    LOCAL.check({}, authority="127.0.0.1:8080")


@pytest.mark.parametrize(
    "origin", ["http://localhost:3000", "https://127.0.0.1", "http://[::1]:8080", "HTTP://LOCALHOST"]
)
def test_pages_of_this_machine_may_ask(origin):
    LOCAL.check({"host": "127.0.0.1:8080", "origin": origin})


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "null", "", "http://", "http://localhost.evil.example", "http://localhost@evil.example",
     "http://evil.example#localhost", "http://evil.example?localhost", "file://localhost", "chrome-extension://localhost",
     "http://localhost http://evil.example", "http://evil.example, http://localhost", "//localhost", "localhost",
     "http://localhost:8080/x"],
)  # fmt: skip
def test_pages_of_other_sites_may_not(origin):
    with pytest.raises(ForeignOrigin) as refused:
        LOCAL.check({"host": "127.0.0.1:8080", "origin": origin})
    assert refused.value.status == 403


def test_a_public_server_answers_for_all_hosts_and_only_to_its_own_pages():
    PUBLIC.check({"host": "models.example.org"})
    PUBLIC.check({"host": "models.example.org:8080", "origin": "https://Models.example.org:8080"})
    for origin in ("https://evil.example", "http://localhost", "https://models.example.org", "null"):
        with pytest.raises(ForeignOrigin):
            PUBLIC.check({"host": "models.example.org:8080", "origin": origin})
    with pytest.raises(ForeignOrigin):
        PUBLIC.check({"origin": "https://evil.example"})


def test_a_public_server_that_is_told_its_names_answers_for_no_others():
    guard = HostGuard(names_for("0.0.0.0", ("Models.example.org",)))
    for host in ("models.example.org", "models.example.org:8080", "127.0.0.1:8080"):
        guard.check({"host": host, "origin": "https://models.example.org"})
    with pytest.raises(ForeignHost):
        guard.check({"host": "evil.example"})


def test_a_local_server_behind_a_proxy_is_told_the_names_of_the_proxy():
    HostGuard(names_for("127.0.0.1", ("models.example.org",))).check({"host": "models.example.org"})


def test_an_address_of_its_own_on_this_machine_is_answered_for():
    HostGuard(names_for("127.0.0.5")).check({"host": "127.0.0.5:8080"})
    HostGuard(names_for("::1")).check({"host": "[::1]:8080"})


@pytest.mark.parametrize(
    ("address", "is_local"),
    [("127.0.0.1", True), ("127.255.0.9", True), ("::1", True), ("::ffff:127.0.0.1", True), ("localhost", True),
     ("0.0.0.0", False), ("::", False), ("10.0.0.1", False), ("::ffff:10.0.0.1", False), ("", False),
     ("localhost.example.org", False), ("127.0.0.1.example.org", False), ("fe80::1", False)],
)  # fmt: skip
def test_which_addresses_only_this_machine_reaches(address, is_local):
    assert is_loopback(address) is is_local


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=40))
@example("localhost:8080")
def test_a_host_is_only_ever_taken_for_what_it_says(text):
    name = name_of(text)
    assert name is None or text.lower().startswith(name)


def test_many_hosts_do_not_fill_the_memory():
    guard = HostGuard(names_for("127.0.0.1"))
    for port in range(1000):
        guard.check({"host": f"localhost:{port}"})
    assert len(guard._good) <= 64
