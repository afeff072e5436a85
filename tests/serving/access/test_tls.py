"""TLS and client certificates, asked of the real HTTP server; and what is told before it starts."""

from __future__ import annotations

import ssl
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from everfresh.errors import TlsUnusable
from everfresh.serving.access.tls import TlsOptions, checked_tls, granian_arguments, tls_options

REQUEST = b"POST /invocations HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
UNLOAD = REQUEST.replace(b"/invocations", b"/v2/repository/models/flights/unload")


def client(authority, pair=None, version=None):
    context = ssl.create_default_context(cafile=str(authority.file))
    if pair is not None:
        context.load_cert_chain(pair.cert, pair.key)
    if version is not None:
        context.maximum_version = version
    return context


def refused(server, context):
    with pytest.raises(OSError) as error:  # noqa: PT011 - it is looked at by who asks
        server.send(REQUEST, context)
    return str(error.value)


@pytest.fixture
def server_pair(authority):
    return authority.issue("server", for_servers=True)


def test_a_server_speaks_tls_1_3_and_nothing_older_or_plainer(live, authority, server_pair):
    server = live(cert=server_pair.cert, key=server_pair.key)
    status, answer = server.send(REQUEST, client(authority))
    assert (status, answer.endswith(b"anyone")) == (200, True)
    assert "protocol version" in refused(server, client(authority, version=ssl.TLSVersion.TLSv1_2)).lower()
    assert refused(server, None)
    assert "CERTIFICATE_VERIFY_FAILED" in refused(server, ssl.create_default_context())


def test_tls_1_2_is_spoken_where_it_was_asked_for(live, authority, server_pair):
    server = live(cert=server_pair.cert, key=server_pair.key, minimum="1.2")
    assert server.send(REQUEST, client(authority, version=ssl.TLSVersion.TLSv1_2))[0] == 200
    assert server.send(REQUEST, client(authority))[0] == 200


def test_only_holders_of_a_good_certificate_of_the_authority_come_in(live, authority, make_authority, server_pair):
    good, revoked = authority.issue("good"), authority.issue("revoked")
    authority.revoke(revoked)
    server = live(cert=server_pair.cert, key=server_pair.key, client_ca=authority.file, crl=authority.crl())
    assert server.send(REQUEST, client(authority, good))[0] == 200
    assert server.send(UNLOAD, client(authority, good))[0] == 401
    assert "certificate required" in refused(server, client(authority)).lower().replace("_", " ")
    bad = {
        "foreign": make_authority("foreign", "foreign").issue("good"),
        "of the same name": make_authority("again").issue("good"),
        "expired": authority.issue("expired", ends=timedelta(hours=-1)),
        "not begun": authority.issue("early", begins=timedelta(hours=1)),
        "revoked": revoked,
        "for servers": authority.issue("other", for_servers=True),
    }
    for name, pair in bad.items():
        assert "alert" in refused(server, client(authority, pair)).lower(), name
    assert server.send(REQUEST, client(authority, good))[0] == 200


def test_files_that_fit_are_passed_on_without_a_word(authority, server_pair):
    options = TlsOptions(server_pair.cert, server_pair.key, authority.file, authority.crl())
    assert checked_tls(options) == ()
    assert granian_arguments(options) == {
        "ssl_cert": server_pair.cert,
        "ssl_key": server_pair.key,
        "ssl_protocol_min": "tls1.3",
        "ssl_ca": authority.file,
        "ssl_crl": [authority.crl()],
        "ssl_client_verify": True,
    }
    assert granian_arguments(None) == {}


@pytest.mark.parametrize(
    ("ends", "begins", "for_servers", "why"),
    [
        (timedelta(hours=-1), timedelta(days=-2), True, "certificate has expired"),
        (timedelta(days=2), timedelta(days=1), True, "certificate is not yet valid"),
        (timedelta(days=2), timedelta(days=-1), False, "unsuitable certificate purpose"),
    ],
)
def test_a_certificate_that_clients_refuse_is_told_and_served_all_the_same(authority, ends, begins, for_servers, why):
    pair = authority.issue("server", ends=ends, begins=begins, for_servers=for_servers)
    assert checked_tls(TlsOptions(pair.cert, pair.key)) == (
        f"The certificate in {pair.cert} is refused by clients: {why}.",
    )


@pytest.mark.parametrize("kind", ["RSA", "EC"])
def test_a_key_in_an_old_form_is_refused_with_the_command_that_mends_it(authority, kind):
    key = rsa.generate_private_key(65537, 2048) if kind == "RSA" else None
    pair = authority.issue("server", form=PrivateFormat.TraditionalOpenSSL, kind=key, for_servers=True)
    with pytest.raises(TlsUnusable) as refusal:
        checked_tls(TlsOptions(pair.cert, pair.key))
    assert f"is no PKCS#8 key but '{kind} PRIVATE KEY'" in str(refusal.value)
    assert f"openssl pkcs8 -topk8 -nocrypt -in {pair.key} -out NEW.key" in str(refusal.value)


def test_a_key_with_a_password_is_refused(authority, server_pair):
    key = rsa.generate_private_key(65537, 2048)
    locked = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    server_pair.key.write_bytes(locked)
    with pytest.raises(TlsUnusable, match="is locked with a password"):
        checked_tls(TlsOptions(server_pair.cert, server_pair.key))


@pytest.mark.parametrize("bits", [None, 2048], ids=["of the same kind", "of another kind"])
def test_a_key_of_another_certificate_is_refused(authority, server_pair, bits):
    kind = rsa.generate_private_key(65537, bits) if bits else None
    other = authority.issue("other", kind=kind, for_servers=True)
    with pytest.raises(TlsUnusable, match="do not belong together"):
        checked_tls(TlsOptions(server_pair.cert, other.key))


DAMAGED = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
DAMAGED_CRL = DAMAGED.replace(b"CERTIFICATE", b"X509 CRL")
DAMAGED_KEY = DAMAGED.replace(b"CERTIFICATE", b"PRIVATE KEY")


@pytest.mark.parametrize(
    ("part", "content"),
    [
        *((part, content) for part in ("cert", "key", "client_ca", "crl") for content in (None, b"", b"\xff\x00")),
        ("cert", DAMAGED),
        ("client_ca", DAMAGED),
        ("crl", DAMAGED_CRL),
        ("key", DAMAGED_KEY),
        ("key", DAMAGED),
    ],
)
def test_a_file_that_is_missing_or_damaged_is_named(authority, server_pair, part, content):
    files = {"cert": server_pair.cert, "key": server_pair.key, "client_ca": authority.file, "crl": authority.crl()}
    if content is None:
        files[part].unlink()
    else:
        files[part].write_bytes(content)
    with pytest.raises(TlsUnusable) as refusal:
        checked_tls(TlsOptions(**files))
    # A key that is damaged is found out together with its certificate.
    named = server_pair.cert if content is DAMAGED_KEY else files[part]
    assert str(refusal.value).startswith(f"{named} ")


@pytest.mark.parametrize("revoked", [0, 1, 40])
def test_a_list_without_a_number_is_refused_for_the_http_server_would_die_of_it(authority, server_pair, revoked):
    for number in range(revoked):
        authority.revoke(authority.issue(f"c{number}"))
    options = TlsOptions(server_pair.cert, server_pair.key, authority.file, authority.crl(number=None))
    with pytest.raises(TlsUnusable, match="has no number"):
        checked_tls(options)
    authority.crl()
    assert checked_tls(options) == ()


def test_options_that_need_another_one_are_refused(authority, server_pair):
    cert, key, ca = server_pair.cert, server_pair.key, authority.file
    assert tls_options(None, None, None, None, "1.3") is None
    assert tls_options(cert, key, ca, None, "1.2") == TlsOptions(cert, key, ca, None, "1.2")
    for given in ((cert, None, None, None), (None, key, None, None), (None, None, ca, None), (None, None, None, ca)):
        with pytest.raises(TlsUnusable, match="Give --tls-cert and --tls-key as well"):
            tls_options(*given, "1.3")
    with pytest.raises(TlsUnusable, match="Give --tls-client-ca as well"):
        checked_tls(TlsOptions(cert, key, crl=authority.crl()))


def test_a_server_that_cannot_start_says_one_sentence(authority, server_pair, tmp_path: Path):
    script = Path(__file__).with_name("rsgi_server.py")
    options = f'{{"cert": "{server_pair.cert}", "key": "{tmp_path / "none.key"}"}}'
    command = [sys.executable, str(script), str(tmp_path), "1", "--tls", options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False, cwd=script.parents[3])
    assert done.returncode == 1
    assert (
        done.stderr
        == f"{tmp_path / 'none.key'} cannot be read: No such file or directory. See --tls-cert and its like.\n"
    )
