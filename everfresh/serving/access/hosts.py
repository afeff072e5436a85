"""For which hosts a server answers, and to which pages.

A page of any site can send requests to 127.0.0.1 from a visitor's browser, and by changing where its own name leads
(DNS rebinding) it can read the answers as well. The first names a foreign `Origin`, the second a foreign `Host`.
"""

from __future__ import annotations

import re
from ipaddress import IPv6Address, ip_address
from typing import Any, Protocol

from everfresh.serving.access.refusals import ForeignHost, ForeignOrigin

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})

_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:[0-9]{1,5})?")
_ORIGIN = re.compile(r"https?://([^/@?#\s]+)")


class Headers(Protocol):
    """The headers of a request; names in lower case."""

    def get(self, key: str, default: Any = None) -> Any:
        """The value of a header."""
        ...


class HostGuard:
    """Refuses requests that were meant for another host, or that a foreign page sends.

    Args:
        names: the hosts that the server answers for, at any port; None where it answers for all of them.
    """

    def __init__(self, names: frozenset[str] | None) -> None:
        self._names = names
        # What has been read once need not be read with each request. There are as many ports as a client may name.
        self._good: set[str] = set()

    def check(self, headers: Headers, authority: str | None = None) -> None:
        """Refuse a foreign request. One that names no host comes from no browser, and is none.

        Args:
            headers: the headers.
            authority: the host that the request line or HTTP/2 names, where one does.

        Raises:
            ForeignHost: it is meant for another host.
            ForeignOrigin: a page of another site sent it.
        """
        host = headers.get("host")
        if host is not None and host not in self._good:
            self._check_host(host)
        if authority is not None and authority != host:
            self._check_host(authority)
        origin = headers.get("origin")
        if origin is not None:
            self._check_origin(origin, host if host is not None else authority)

    def _check_host(self, host: str) -> None:
        if self._names is None:
            return
        if name_of(host) not in self._names:
            raise ForeignHost(host)
        if len(self._good) < 64:
            self._good.add(host)

    def _check_origin(self, origin: str, host: str | None) -> None:
        """A page may ask its own server; and pages of the hosts that are answered for may, whatever their port."""
        found = _ORIGIN.fullmatch(origin.lower())
        if found is not None:
            if host is not None and found[1] == host.lower():
                return
            if self._names is not None and name_of(found[1]) in self._names:
                return
        raise ForeignOrigin(origin)


def name_of(host: str) -> str | None:
    """The host without its port; None where it is none.

    >>> name_of("LOCALHOST:8080"), name_of("[::1]:8080"), name_of("127.0.0.1@evil.example")
    ('localhost', '[::1]', None)
    """
    found = _HOST.fullmatch(host.lower())
    return found[1] if found is not None else None


def names_for(address: str, more: tuple[str, ...] = ()) -> frozenset[str] | None:
    """The hosts that a server answers for by where it listens, and by what the settings add.

    >>> names_for("0.0.0.0") is None
    True
    """
    if not is_loopback(address) and not more:
        return None
    own = {f"[{address.lower()}]" if ":" in address else address.lower()} if is_loopback(address) else set()
    return LOOPBACK_NAMES | own | {name.lower() for name in more}


def is_loopback(address: str) -> bool:
    """Whether only this machine reaches what listens there.

    >>> [is_loopback(address) for address in ("127.0.0.1", "::1", "localhost", "0.0.0.0", "192.168.1.4")]
    [True, True, True, False, False]
    """
    if address == "localhost":
        return True
    try:
        found = ip_address(address)
    except ValueError:
        return False
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return (mapped or found).is_loopback
