"""Bearer tokens of an OpenID Connect issuer: who sent one, and what the issuer says that they may do.

A token is good where it was signed with RS256 or ES256 by a key of the issuer, names this issuer and this audience, and
is valid now. Its roles are words in one of its claims: `everfresh:predict`, `everfresh:read` and `everfresh:admin`. The
prefix is there because in many organisations `admin` alone is somebody else's administrator.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from everfresh.errors import InvalidSetting, MissingExtra
from everfresh.serving.access.jwks import KeySet, key_set
from everfresh.serving.access.roles import Principal, Role, all_of
from everfresh.serving.refusals import shortened

logger = logging.getLogger(__name__)

PREFIX = "everfresh:"
REQUIRED_CLAIMS = ("iss", "aud", "exp", "sub")
# How far the issuer's clock may be ahead. An expired token is expired, by our own clock.
LEEWAY_S = 30.0
REMEMBERED_S = 60.0
MOST_REMEMBERED = 4096

ISSUER = "EVERFRESH_OIDC_ISSUER"
AUDIENCE = "EVERFRESH_OIDC_AUDIENCE"
JWKS = "EVERFRESH_OIDC_JWKS"
ROLES = "EVERFRESH_OIDC_ROLES"


@dataclass(frozen=True)
class OidcOptions:
    """Whose tokens are accepted.

    Attributes:
        issuer: what their `iss` must be, letter by letter.
        audience: what must be in their `aud`.
        jwks: the issuer's public keys: an https address or a file.
        claim: where their roles are: a claim, or a path into one, as in `realm_access.roles`.
    """

    issuer: str
    audience: str
    jwks: str
    claim: str = "roles"


def oidc_options(environment: Mapping[str, str]) -> OidcOptions | None:
    """What the environment says of tokens; None where it says nothing.

    Raises:
        InvalidSetting: it says a part only, or an address that is not https.
    """
    read = {name: (environment.get(name) or "").strip() for name in (ISSUER, AUDIENCE, JWKS)}
    if not any(read.values()):
        return None
    for name, text in read.items():
        if not text:
            raise InvalidSetting(name, text, f"set where one of {', '.join(read)} is")
    if "://" in read[JWKS] and not read[JWKS].startswith("https://"):
        raise InvalidSetting(JWKS, read[JWKS], "a file or an https URL")
    return OidcOptions(read[ISSUER], read[AUDIENCE], read[JWKS], (environment.get(ROLES) or "").strip() or "roles")


class TokenVerifier:
    """Tells whose a token is. A good one is remembered by its hash, for a minute at most and never past its end.

    Args:
        options: whose tokens are accepted.
        keys: the issuer's keys; those that the options name if left out.
        now: the time, in seconds since 1970.

    Raises:
        MissingExtra: the library for it is not installed.
        TokenKeysUnreadable: the file of the issuer's keys has none.
    """

    def __init__(self, options: OidcOptions, keys: KeySet | None = None, now: Callable[[], float] = time.time) -> None:
        if find_spec("jwt") is None or find_spec("cryptography") is None:
            raise MissingExtra("Checking tokens", extra="oidc")
        self._options = options
        self._keys = key_set(options.jwks) if keys is None else keys
        self._now = now
        self._remembered: dict[bytes, tuple[float, Principal]] = {}

    def start(self) -> None:
        """Get the issuer's keys, in the process that asks."""
        self._keys.start()

    def holder(self, token: str) -> Principal | None:
        """Whose token it is; None where it is not good."""
        digest = hashlib.sha256(token.encode()).digest()
        until, holder = self._remembered.get(digest, (0.0, None))
        now = self._now()
        if now < until:
            return holder
        claims = self._claims(token)
        if claims is None:
            self._remembered.pop(digest, None)
            return None
        holder = Principal(shortened(claims["sub"]), roles_of(claims, self._options.claim))
        self._remember(digest, min(claims["exp"], now + REMEMBERED_S), holder)
        return holder

    def _claims(self, token: str) -> dict[str, Any] | None:
        """The claims of a good token. What is wrong with a bad one goes to the log only, and only where one looks."""
        import jwt

        try:
            header = jwt.get_unverified_header(token)
            key = self._keys.find(header["kid"])
            if key is None or "crit" in header or "b64" in header:
                return None
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=[key.algorithm_name],
                issuer=self._options.issuer,
                audience=self._options.audience,
                leeway=LEEWAY_S,
                options={"require": list(REQUIRED_CLAIMS), "verify_iat": False},
            )
        except Exception as error:  # a stranger's bytes: whatever they lead to, the token is not good
            logger.debug("A token was refused: %s", type(error).__name__)
            return None
        return claims if _is_number(claims["exp"]) and self._now() < claims["exp"] and claims["sub"] else None

    def _remember(self, digest: bytes, until: float, holder: Principal) -> None:
        if len(self._remembered) >= MOST_REMEMBERED:
            self._remembered.pop(next(iter(self._remembered)), None)
        self._remembered[digest] = (until, holder)


def roles_of(claims: Mapping[str, Any], claim: str) -> frozenset[Role]:
    """The roles in a claim: in a list, or in a text between spaces, as scopes are written.

    >>> roles_of({"scope": "openid everfresh:predict"}, "scope")
    frozenset({<Role.PREDICT: 'predict'>})
    """
    found = claims[claim] if claim in claims else _at_path(claims, claim)
    words = found.split() if isinstance(found, str) else found if isinstance(found, list) else []
    known = {f"{PREFIX}{role}": role for role in Role}
    return all_of(known[word] for word in words if isinstance(word, str) and word in known)


def _at_path(claims: Mapping[str, Any], path: str) -> Any:
    found: Any = claims
    for part in path.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
