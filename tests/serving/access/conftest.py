"""Issuers of tokens, authorities of certificates, and headers, all made here and now."""

from __future__ import annotations

import json
import os
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from everfresh.serving.access.keys import add_key
from everfresh.serving.access.roles import Role

ISSUER = "https://login.example.org/"
AUDIENCE = "everfresh-serving"
ROOT = Path(__file__).parents[3]


class Headers:
    """Headers as the HTTP server gives them, duplicates included."""

    def __init__(self, *pairs: tuple[str, str]) -> None:
        self._pairs = pairs

    def get(self, key: str, default: Any = None) -> Any:
        return next((value for name, value in self._pairs if name == key), default)

    def get_all(self, key: str) -> list[str]:
        return [value for name, value in self._pairs if name == key]


@dataclass(frozen=True)
class Issuer:
    """Signs tokens with its keys, which it shows."""

    keys: dict[str, Any]

    def jwks(self, **changes: Any) -> dict[str, Any]:
        """The public keys; `changes` go into each of them, and None takes a part out."""
        entries = []
        for kid, key in self.keys.items():
            of = RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else ECAlgorithm
            entry = {**of.to_jwk(key.public_key(), as_dict=True), "kid": kid, "use": "sig", **changes}
            entry.pop("key_ops", None) if "key_ops" not in changes else None
            entries.append({name: value for name, value in entry.items() if value is not None})
        return {"keys": entries}

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Good claims; None takes one out."""
        now = time.time()
        good = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ann", "exp": now + 600, "roles": ["everfresh:predict"]}
        return {name: value for name, value in {**good, **changes}.items() if value is not None}

    def token(self, kid: str = "rsa", alg: str | None = None, headers: Any = None, **changes: Any) -> str:
        """A token; a good one where nothing is changed."""
        key = self.keys[kid]
        algorithm = alg or ("RS256" if isinstance(key, rsa.RSAPrivateKey) else "ES256")
        return jwt.encode(self.claims(**changes), key, algorithm, headers={"kid": kid, **(headers or {})})


@pytest.fixture(scope="session")
def issuer() -> Issuer:
    return Issuer({"rsa": rsa.generate_private_key(65537, 2048), "ec": ec.generate_private_key(ec.SECP256R1())})


@pytest.fixture(scope="session")
def stranger() -> Issuer:
    """Another issuer, whose keys have the same names."""
    return Issuer({"rsa": rsa.generate_private_key(65537, 2048), "ec": ec.generate_private_key(ec.SECP256R1())})


@pytest.fixture
def jwks_file(tmp_path: Path, issuer: Issuer) -> Path:
    file = tmp_path / "jwks.json"
    file.write_text(json.dumps(issuer.jwks()))
    file.chmod(0o644)
    return file


@pytest.fixture
def keys_file(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


@pytest.fixture
def make_key(keys_file: Path) -> Callable[..., str]:
    """Make a key that is valid now, and give what its holder sends."""

    def make(name: str = "ann", *roles: Role, lasts: timedelta | None = None, ago: timedelta = timedelta()) -> str:
        now = datetime.now(UTC) - ago
        return add_key(keys_file, name, roles or (Role.PREDICT,), now=now, lasts=lasts).presented

    return make


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, as files."""

    cert: Path
    key: Path


class Authority:
    """Signs certificates, and takes them back."""

    def __init__(self, folder: Path, name: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._revoked: list[int] = []
        builder = self._builder(self._name, self._key, timedelta(days=30), timedelta(days=-1))
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        usage = dict.fromkeys(
            ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
             "encipher_only", "decipher_only"), False,
        )  # fmt: skip
        builder = builder.add_extension(x509.KeyUsage(key_cert_sign=True, crl_sign=True, **usage), critical=True)
        self.file = folder / f"{name}.crt"
        self.file.write_bytes(builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM))

    def issue(
        self, name: str, *, ends: timedelta = timedelta(days=1), begins: timedelta = timedelta(days=-2),
        form: PrivateFormat = PrivateFormat.PKCS8, kind: Any = None, for_servers: bool = False,
    ) -> Pair:  # fmt: skip
        """A certificate for a client, or for a server on 127.0.0.1."""
        key = kind or ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        purpose = ExtendedKeyUsageOID.SERVER_AUTH if for_servers else ExtendedKeyUsageOID.CLIENT_AUTH
        here = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))])
        builder = self._builder(subject, key, ends, begins).add_extension(here, critical=False)
        builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        pair = Pair(self._folder / f"{name}.crt", self._folder / f"{name}.key")
        certificate = builder.sign(self._key, hashes.SHA256())
        pair.cert.write_bytes(certificate.public_bytes(Encoding.PEM))
        pair.key.write_bytes(key.private_bytes(Encoding.PEM, form, NoEncryption()))
        return pair

    def revoke(self, pair: Pair) -> None:
        self._revoked.append(x509.load_pem_x509_certificate(pair.cert.read_bytes()).serial_number)

    def crl(self, number: int | None = 1) -> Path:
        """The list of what was revoked; without a number it is of a form from before 2002."""
        now = datetime.now(UTC)
        builder = x509.CertificateRevocationListBuilder(self._name, now - timedelta(hours=1), now + timedelta(days=1))
        for serial in self._revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now - timedelta(hours=1))
            builder = builder.add_revoked_certificate(entry.build())
        if number is not None:
            builder = builder.add_extension(x509.CRLNumber(number), critical=False)
        file = self._folder / "revoked.crl"
        file.write_bytes(builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM))
        return file

    def _builder(self, subject: x509.Name, key: Any, ends: timedelta, begins: timedelta) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + begins)
            .not_valid_after(now + ends)
        )


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "authority", "authority")


@pytest.fixture
def make_authority(tmp_path: Path) -> Callable[..., Authority]:
    return lambda folder, name="authority": Authority(tmp_path / folder, name)


@pytest.fixture(scope="session")
def headers_of() -> Callable[..., Headers]:
    return Headers


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of whoever runs the tests reaches them."""
    for name in list(os.environ):
        if name.startswith(("EVERFRESH_", "SSL_CERT_")):
            monkeypatch.delenv(name)


@dataclass(frozen=True)
class Live:
    """A server that runs as a process of its own."""

    process: subprocess.Popen[bytes]
    port: int

    def send(self, request: bytes, context: ssl.SSLContext | None = None) -> tuple[int, bytes]:
        """Send bytes as they are; the status of the answer, and the whole of it.

        Raises:
            OSError: there is none: the server hangs up, or does not like the certificate.
        """
        with socket.create_connection(("127.0.0.1", self.port), 5) as plain:
            connection = context.wrap_socket(plain, server_hostname="127.0.0.1") if context else plain
            with connection:
                connection.sendall(request)
                answer = b"".join(iter(lambda: connection.recv(65_536), b""))
        if not answer.startswith(b"HTTP/"):
            raise ConnectionError(f"no answer but {answer[:20]!r}")
        return int(answer.split()[1]), answer


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Callable[..., Live]]:
    """Start the small server of these tests; it ends with the test."""
    started: list[subprocess.Popen[bytes]] = []

    def start(**tls: Any) -> Live:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        options = ["--tls", json.dumps({name: str(value) for name, value in tls.items()})] if tls else []
        script = Path(__file__).with_name("rsgi_server.py")
        process = subprocess.Popen([sys.executable, str(script), str(tmp_path), str(port), *options], cwd=ROOT)
        started.append(process)
        deadline = time.monotonic() + 20
        while True:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                return Live(process, port)
            assert process.poll() is None, "the server ended"
            assert time.monotonic() < deadline, "the server does not listen"
            time.sleep(0.02)

    yield start
    for process in started:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5)
