"""TLS and client certificates: what the HTTP server is told, and what is looked at before any worker starts.

The HTTP server's own library reads keys in PKCS#8 only, and a worker that cannot read its key dies without a sentence.
A client certificate says that its holder may come in, not who they are: that is what keys and tokens are for.
"""

from __future__ import annotations

import base64
import re
import ssl
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from granian.constants import SSLProtocols

from everfresh.errors import TlsUnusable

Minimum = Literal["1.2", "1.3"]
MINIMA: tuple[Minimum, ...] = get_args(Minimum)

_EXTENSIONS = 0xA0
_INSIDE = re.compile(r"-----BEGIN X509 CRL-----(.+?)-----END", re.DOTALL)
_LABEL = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----")
# The last is what OpenSSL says of a key of another kind than the certificate's.
_MISMATCHES = ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED")
_PROTOCOLS = {"1.2": SSLProtocols.tls12, "1.3": SSLProtocols.tls13}


@dataclass(frozen=True)
class TlsOptions:
    """How a server speaks TLS.

    Attributes:
        cert: its certificate, and those that lead from it to a known authority, in PEM.
        key: the certificate's key, in PKCS#8 and PEM, without a password.
        client_ca: the authority whose certificates clients must show; where it is left out, they show none.
        crl: what that authority revoked.
        minimum: the oldest version of TLS that is spoken.
    """

    cert: Path
    key: Path
    client_ca: Path | None = None
    crl: Path | None = None
    minimum: Minimum = "1.3"


def granian_arguments(options: TlsOptions | None) -> dict[str, Any]:
    """What the HTTP server's constructor is given; nothing where it speaks plain HTTP."""
    if options is None:
        return {}
    return {
        "ssl_cert": options.cert,
        "ssl_key": options.key,
        "ssl_protocol_min": _PROTOCOLS[options.minimum],
        "ssl_ca": options.client_ca,
        "ssl_crl": [options.crl] if options.crl is not None else [],
        "ssl_client_verify": options.client_ca is not None,
    }


def tls_options(
    cert: Path | None, key: Path | None, client_ca: Path | None, crl: Path | None, minimum: Minimum
) -> TlsOptions | None:
    """What the command line says; None where it says nothing.

    Raises:
        TlsUnusable: one of them is useless without another that is not there.
    """
    if cert is not None and key is not None:
        return TlsOptions(cert, key, client_ca, crl, minimum)
    lonely = next((file for file in (cert, key, client_ca, crl) if file is not None), None)
    if lonely is not None:
        raise TlsUnusable(lonely, "is not enough for TLS", "Give --tls-cert and --tls-key as well.")
    return None


def checked_tls(options: TlsOptions) -> tuple[str, ...]:
    """What clients will not like about files with which the server can start, each as a sentence.

    Raises:
        TlsUnusable: it cannot start with them.
    """
    _check_key(options.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _label(options.cert, "CERTIFICATE", "a certificate")
    _use(options.cert, lambda: context.load_cert_chain(options.cert, options.key))
    if options.client_ca is not None:
        ca = options.client_ca
        _label(ca, "CERTIFICATE", "a certificate")
        _use(ca, lambda: context.load_verify_locations(ca))
    if options.crl is not None:
        crl = options.crl
        if options.client_ca is None:
            raise TlsUnusable(crl, "revokes certificates that nobody is asked for", "Give --tls-client-ca as well.")
        _label(crl, "X509 CRL", "a list of revoked certificates")
        _use(crl, lambda: context.load_verify_locations(crl))
        if not _has_extensions(_der(crl)):
            remedy = "Make it as RFC 5280 wants it, with `openssl ca` by a configuration that has a `crlnumber`."
            raise TlsUnusable(crl, "has no number, and the HTTP server reads only lists that have one", remedy)
    why = _why_refused(context, options.cert)
    return (f"The certificate in {options.cert} is refused by clients: {why}.",) if why is not None else ()


def _check_key(file: Path) -> None:
    label = _label(file, "PRIVATE KEY", "a private key")
    if label == "PRIVATE KEY":
        return
    unlock = f"Make it one with `openssl pkcs8 -topk8 -nocrypt -in {file} -out NEW.key`."
    why = "is locked with a password" if label == "ENCRYPTED PRIVATE KEY" else f"is no PKCS#8 key but {label!r}"
    raise TlsUnusable(file, why, unlock)


def _label(file: Path, ending: str, what: str) -> str:
    """The first label of a PEM file that ends so."""
    try:
        text = file.read_text(encoding="ascii", errors="replace")
    except OSError as error:
        raise TlsUnusable(file, f"cannot be read: {error.strerror}", "See --tls-cert and its like.") from error
    found = next((label for label in _LABEL.findall(text) if label.endswith(ending)), None)
    if found is None:
        raise TlsUnusable(file, f"holds nothing that is {what} in PEM", "Convert it with `openssl`.")
    return str(found)


def _use(file: Path, load: Callable[[], None]) -> None:
    try:
        load()
    except ssl.SSLError as error:
        if error.reason in _MISMATCHES:
            raise TlsUnusable(
                file, "and --tls-key do not belong together", "Give the key of that certificate."
            ) from error
        why = f"cannot be used ({(error.reason or 'it is damaged').lower().replace('_', ' ')})"
        raise TlsUnusable(file, why, "Make it anew.") from error


def _why_refused(server: ssl.SSLContext, cert: Path) -> str | None:
    """Why a client that trusts this very certificate would refuse it: it has expired, or is not for servers."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    client.load_verify_locations(cert)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (
        client.wrap_bio(to_client, to_server),
        server.wrap_bio(to_server, to_client, server_side=True),
    )
    try:
        for _ in range(3):
            for end in ends:
                with suppress(ssl.SSLWantReadError):
                    end.do_handshake()
    except ssl.SSLCertVerificationError as error:
        return error.verify_message
    except ssl.SSLError:
        return None
    return None


def _der(file: Path) -> bytes:
    """The bytes between the first pair of PEM's lines."""
    inside = _INSIDE.search(file.read_text(encoding="ascii", errors="replace"))
    return base64.b64decode(inside[1]) if inside is not None else b""


def _has_extensions(crl: bytes) -> bool:
    """Whether a list of revoked certificates has extensions, of which its number is one that must be there."""
    signed = next(_elements(next(_elements(crl))[1]))[1]
    return any(tag == _EXTENSIONS for tag, _ in _elements(signed))


def _elements(der: bytes) -> Iterator[tuple[int, bytes]]:
    """The elements that stand one after the other in DER, by tag. OpenSSL has read them before, so they are sound."""
    start = 0
    while start < len(der):
        tag, length, start = der[start], der[start + 1], start + 2
        if length & 0x80:
            octets = length & 0x7F
            length, start = int.from_bytes(der[start : start + octets]), start + octets
        yield tag, der[start : start + length]
        start += length
