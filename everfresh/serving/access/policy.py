"""The one question that the server asks about each request: who is it, and may they?

Where neither keys nor an issuer of tokens are configured, whoever reaches the server may predict and read, and nobody
may administer; such a server listens on this machine only, unless it was said that it should be open. Once there is
a file of keys, everything but the health of the server needs a key, and deleting the file does not open anything.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from everfresh.errors import InvalidSetting, OpenToTheNetwork
from everfresh.serving.access.hosts import Headers, HostGuard, is_loopback, name_of, names_for
from everfresh.serving.access.keys import read_keys
from everfresh.serving.access.refusals import Forbidden, NoAdministrator, Unauthenticated
from everfresh.serving.access.ring import KeyRing
from everfresh.serving.access.roles import ANYONE, Needs, Principal
from everfresh.serving.access.tokens import OidcOptions, TokenVerifier, oidc_options

KEYS = "EVERFRESH_SERVING_KEYS"
HOSTS = "EVERFRESH_SERVING_HOSTS"

MOST_CREDENTIAL = 16_384


@dataclass(frozen=True)
class AccessOptions:
    """Whom a server lets in.

    Attributes:
        host: the address where it listens.
        keys: the file of the API keys; it need not be there.
        oidc: whose tokens it accepts, if any.
        certificates: whether TLS lets only holders of a client certificate in.
        is_open: whether it may be reached from other machines though it asks nobody who they are.
        hosts: further hosts that it answers for.
        asks: whether keys or tokens were configured when the server started.
    """

    host: str
    keys: Path
    oidc: OidcOptions | None = None
    certificates: bool = False
    is_open: bool = False
    hosts: tuple[str, ...] = ()
    asks: bool = False

    @property
    def lets_strangers_in(self) -> bool:
        """Whether whoever reaches the server may ask it, as long as nothing is configured by which it knows anybody."""
        return is_loopback(self.host) or self.certificates or self.is_open


def access_options(
    root: Path,
    host: str,
    *,
    is_open: bool = False,
    certificates: bool = False,
    environment: Mapping[str, str] = os.environ,
) -> AccessOptions:
    """What the environment says of access to a server of a root.

    Raises:
        InvalidSetting: a variable holds what it cannot mean.
    """
    hosts = tuple(text for part in (environment.get(HOSTS) or "").split(",") if (text := part.strip()))
    for text in hosts:
        if name_of(text) != text.lower():
            raise InvalidSetting(HOSTS, text, "host names without ports, separated by commas")
    keys = Path(environment.get(KEYS) or root / "keys.json").absolute()
    return AccessOptions(host, keys, oidc_options(environment), certificates, is_open, hosts)


def checked_access(options: AccessOptions) -> AccessOptions:
    """The options with what is found at the start of the server; what cannot work is told then, and not by each worker.

    Raises:
        OpenToTheNetwork: other machines would reach it, and it would ask nobody.
        KeysUnreadable: the file of the keys is not what it should be.
        TokenKeysUnreadable: nor is that of the issuer's keys.
        MissingExtra: the library for tokens is not installed.
    """
    read_keys(options.keys)
    if options.oidc is not None:
        TokenVerifier(options.oidc)
    asks = options.oidc is not None or options.keys.exists()
    if not asks and not options.lets_strangers_in:
        raise OpenToTheNetwork(options.host)
    return replace(options, asks=asks)


class AccessPolicy:
    """Decides about requests, in one process."""

    def __init__(self, options: AccessOptions) -> None:
        self._guard = HostGuard(names_for(options.host, options.hosts))
        self._ring = KeyRing(options.keys)
        self._tokens = TokenVerifier(options.oidc) if options.oidc is not None else None
        self._asks = options.asks or options.oidc is not None
        self._lets_strangers_in = options.lets_strangers_in

    def start(self) -> None:
        """Get what is needed from elsewhere, in the process that decides."""
        if self._tokens is not None:
            self._tokens.start()

    def authorize(self, headers: Headers, needs: Needs, authority: str | None = None) -> Principal:
        """Who sent an HTTP request, if they may do what it asks.

        Args:
            headers: its headers.
            needs: what its route needs; `nothing` for health.
            authority: the host that the request line or HTTP/2 names, where one does.

        Raises:
            ForeignHost: it is meant for another host.
            ForeignOrigin: a page of another site sent it.
            Unauthenticated: it carries nothing by which the sender is known.
            Forbidden: the sender is known, and may not.
        """
        self._guard.check(headers, authority)
        if needs == "nothing":
            return ANYONE
        if not self._asks_now():
            return self._stranger(needs)
        return self._known(_only(headers, "authorization"), needs)

    def admit(self, authorization: str | None, needs: Needs) -> Principal:
        """The same for transports without hosts and pages; `authorization` is their one header of that name.

        Raises:
            Unauthenticated: the sender is not known.
            Forbidden: the sender is known, and may not.
        """
        if needs == "nothing":
            return ANYONE
        return self._known(authorization, needs) if self._asks_now() else self._stranger(needs)

    def _asks_now(self) -> bool:
        return self._asks or self._ring.is_used

    def _stranger(self, needs: Needs) -> Principal:
        """Whoever reaches a server that knows nobody."""
        if not self._lets_strangers_in:
            raise Unauthenticated
        if ANYONE.may(needs):
            return ANYONE
        raise NoAdministrator

    def _known(self, authorization: str | None, needs: Needs) -> Principal:
        holder = self._holder(authorization) if authorization is not None else None
        if holder is None:
            raise Unauthenticated
        if not holder.may(needs):
            raise Forbidden(holder, needs)
        return holder

    def _holder(self, authorization: str) -> Principal | None:
        """Whose key or token it is: a key has one dot, a token two."""
        scheme, _, presented = authorization.partition(" ")
        if scheme.lower() != "bearer" or len(presented) > MOST_CREDENTIAL or not presented.isascii():
            return None
        if presented.count(".") == 1:
            return self._ring.holder(presented)
        return self._tokens.holder(presented) if self._tokens is not None else None


def _only(headers: Headers, name: str) -> str | None:
    """The value of a header that is there once. Of two, a proxy may have looked at the other one."""
    get_all: Any = getattr(headers, "get_all", None)
    if get_all is None:
        value: str | None = headers.get(name)
        return value
    values: list[str] = get_all(name)
    return values[0] if len(values) == 1 else None
