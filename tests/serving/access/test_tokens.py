"""Tokens of every bad kind, and the few good ones."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from everfresh.errors import InvalidSetting, MissingExtra
from everfresh.serving.access import tokens
from everfresh.serving.access.jwks import signing_keys
from everfresh.serving.access.roles import Role
from everfresh.serving.access.tokens import OidcOptions, TokenVerifier, oidc_options, roles_of

ISSUER, AUDIENCE = "https://login.example.org/", "everfresh-serving"


@pytest.fixture
def verifier(jwks_file):
    return TokenVerifier(OidcOptions(ISSUER, AUDIENCE, str(jwks_file)))


def part(content):
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signed_by_hand(key, header, claims):
    """A token whose header may say anything, signed with RS256."""
    text = f"{part(header)}.{part(claims)}"
    return f"{text}.{part(jwt.algorithms.RSAAlgorithm(jwt.algorithms.RSAAlgorithm.SHA256).sign(text.encode(), key))}"


@pytest.mark.parametrize("kid", ["rsa", "ec"])
@pytest.mark.parametrize(
    "changes",
    [{}, {"aud": ["other", AUDIENCE]}, {"nbf": time.time() - 5}, {"nbf": time.time() + 5}, {"iat": time.time() + 20}],
    ids=["plain", "one of several audiences", "begun", "our clock is behind", "issued by a clock ahead"],
)
def test_a_good_token_is_its_subjects(verifier, issuer, kid, changes):
    holder = verifier.holder(issuer.token(kid, **changes))
    assert (holder.name, holder.roles) == ("ann", frozenset({Role.PREDICT}))


NOW = time.time()
BAD_CLAIMS = {
    "another issuer": {"iss": "https://evil.example.org/"},
    "an issuer that begins like ours": {"iss": f"{ISSUER}x"},
    "our issuer without its slash": {"iss": ISSUER.rstrip("/")},
    "no issuer": {"iss": None},
    "another audience": {"aud": "other"},
    "an audience that begins like ours": {"aud": f"{AUDIENCE}x"},
    "an audience in other letters": {"aud": AUDIENCE.upper()},
    "no audience": {"aud": None},
    "an empty list of audiences": {"aud": []},
    "an audience that is no text": {"aud": {AUDIENCE: 1}},
    "no end": {"exp": None},
    "an end an hour ago": {"exp": NOW - 3600},
    "an end a second ago": {"exp": NOW - 1},
    "an end that is text": {"exp": "tomorrow"},
    "an end that is a number in quotes": {"exp": str(int(NOW + 600))},
    "an end that is true": {"exp": True},
    "an end that is a list": {"exp": [NOW + 600]},
    "a beginning in an hour": {"nbf": NOW + 3600},
    "a beginning that is text": {"nbf": "tomorrow"},
    "no subject": {"sub": None},
    "an empty subject": {"sub": ""},
    "a subject that is a number": {"sub": 7},
}


@pytest.mark.parametrize("changes", BAD_CLAIMS.values(), ids=BAD_CLAIMS)
def test_a_token_with_other_claims_is_refused(verifier, issuer, changes):
    claims = issuer.claims(**changes)
    assert verifier.holder(signed_by_hand(issuer.keys["rsa"], {"alg": "RS256", "kid": "rsa"}, claims)) is None


@pytest.mark.parametrize("number", [b"1e999", b"NaN", b"-Infinity", b"9" * 5000])
def test_an_end_that_is_no_time_is_refused(verifier, issuer, number):
    claims = json.dumps(issuer.claims(exp=12345)).encode().replace(b"12345", number)
    assert verifier.holder(signed_by_hand(issuer.keys["rsa"], {"alg": "RS256", "kid": "rsa"}, claims)) is None


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "nOnE", "", None])
@pytest.mark.parametrize("kid", ["rsa", "ec", None])
def test_a_token_without_a_signature_is_refused(verifier, issuer, alg, kid):
    header = {name: value for name, value in {"alg": alg, "kid": kid, "typ": "JWT"}.items() if value is not None}
    for signature in ("", "AA"):
        assert verifier.holder(f"{part(header)}.{part(issuer.claims())}.{signature}") is None


@pytest.mark.parametrize("form", [PublicFormat.SubjectPublicKeyInfo, PublicFormat.PKCS1])
@pytest.mark.parametrize("encoding", [Encoding.PEM, Encoding.DER])
def test_a_token_that_takes_the_public_key_for_a_password_is_refused(verifier, issuer, form, encoding):
    public = issuer.keys["rsa"].public_key().public_bytes(encoding, form)
    text = f"{part({'alg': 'HS256', 'kid': 'rsa'})}.{part(issuer.claims())}"
    for secret in (public, public.strip()):
        signature = hmac.new(secret, text.encode(), hashlib.sha256).digest()
        assert verifier.holder(f"{text}.{part(signature)}") is None


@pytest.mark.parametrize("alg", ["RS384", "RS512", "PS256"])
def test_only_one_algorithm_goes_with_a_key(verifier, issuer, alg):
    assert verifier.holder(issuer.token("rsa", alg=alg)) is None


def test_a_key_of_another_kind_under_a_known_name_is_refused(verifier, issuer):
    token = jwt.encode(issuer.claims(), issuer.keys["ec"], "ES256", headers={"kid": "rsa"})
    assert verifier.holder(token) is None


@pytest.mark.parametrize("kid", ["rsa", "ec"])
def test_a_strangers_key_of_the_same_name_is_refused(verifier, stranger, kid):
    assert verifier.holder(stranger.token(kid)) is None


@pytest.mark.parametrize("kid", ["other", "", "RSA", "../rsa", "rsa\0", 7, None, ["rsa"], {"kid": "rsa"}])
def test_a_token_that_names_no_key_of_the_issuer_is_refused(verifier, issuer, kid):
    header = {"alg": "RS256", "kid": kid}
    assert verifier.holder(signed_by_hand(issuer.keys["rsa"], header, issuer.claims())) is None
    del header["kid"]
    assert verifier.holder(signed_by_hand(issuer.keys["rsa"], header, issuer.claims())) is None


def test_a_key_that_a_token_brings_along_is_not_used(verifier, stranger):
    jwk = stranger.jwks()["keys"][0]
    brought = {"jwk": jwk, "jku": "https://127.0.0.1:9/jwks", "x5u": "https://127.0.0.1:9/x", "x5c": ["AA"]}
    for kid in ("rsa", "mine"):
        header = {"alg": "RS256", "kid": kid, **brought}
        assert verifier.holder(signed_by_hand(stranger.keys["rsa"], header, stranger.claims())) is None


@pytest.mark.parametrize(
    "header", [{"crit": ["exp"]}, {"crit": []}, {"crit": ["b64"], "b64": False}, {"b64": False}], ids=str
)
def test_a_header_that_must_be_understood_is_not_passed_over(verifier, issuer, header):
    token = signed_by_hand(issuer.keys["rsa"], {"alg": "RS256", "kid": "rsa", **header}, issuer.claims())
    assert verifier.holder(token) is None


def test_a_token_with_anything_changed_is_refused(verifier, issuer):
    head, body, signature = issuer.token().split(".")
    for changed in (
        f"{head}.{part(issuer.claims(roles=['everfresh:admin']))}.{signature}",
        f"{part({'alg': 'RS256', 'kid': 'rsa', 'x': 1})}.{body}.{signature}",
        f"{head}.{body}.{part(b'0' * 256)}",
        f"{head}.{body}.",
        f"{head}.{body}.{signature}.{signature}",
        f"{head}.{body}.{signature}=",
        f"{head}.{body}.{signature}\n",
        f"{head}. {body}.{signature}",
        f"{head}..{signature}",
    ):
        assert verifier.holder(changed) is None, changed


@pytest.mark.parametrize(
    "token",
    [
        "",
        "..",
        "a.b.c",
        "....",
        f"{part(b'[' * 50_000)}.{part(b'{}')}.AA",
        f"{part(b'null')}.{part(b'{}')}.AA",
        f"{part({'alg': 'RS256', 'kid': 'rsa'})}.{part(b'[]')}.AA",
        f"{part({'alg': ['RS256'], 'kid': 'rsa'})}.{part(b'{}')}.AA",
        "." * 16_000,
        "A" * 16_000,
    ],
    ids=lambda token: token[:12],
)
def test_garbage_is_refused(verifier, token):
    assert verifier.holder(token) is None


@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_whatever_is_in_the_three_parts_of_a_token_it_is_refused(data, issuer, tmp_path_factory):
    file = tmp_path_factory.getbasetemp() / "jwks.json"
    if not file.exists():
        file.write_text(json.dumps(issuer.jwks()))
        file.chmod(0o600)
    verifier = TokenVerifier(OidcOptions(ISSUER, AUDIENCE, str(file)))
    values = st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=8), st.lists, max_leaves=4)
    header = data.draw(st.dictionaries(st.sampled_from(["alg", "kid", "typ", "crit", "b64", "zip"]), values))
    header |= data.draw(st.sampled_from([{}, {"kid": "rsa"}, {"kid": "rsa", "alg": "RS256"}, {"kid": "ec"}]))
    claims = data.draw(st.dictionaries(st.sampled_from(["iss", "aud", "exp", "nbf", "sub"]), values))
    signature = data.draw(st.binary(max_size=300))
    assert verifier.holder(f"{part(header)}.{part(claims)}.{part(signature)}") is None


class KeysThatGo:
    """The issuer's keys, until they are taken away."""

    def __init__(self, jwks):
        self.known = signing_keys(json.dumps(jwks).encode())

    def start(self):
        """Nothing to do."""

    def find(self, kid):
        return self.known.get(kid)


def test_a_good_token_is_remembered_for_a_minute_and_not_longer(issuer):
    now, keys = [time.time()], KeysThatGo(issuer.jwks())
    verifier = TokenVerifier(OidcOptions(ISSUER, AUDIENCE, "elsewhere"), keys, lambda: now[0])
    token = issuer.token()
    assert verifier.holder(token) is not None
    keys.known = {}
    now[0] += 59
    assert verifier.holder(token) is not None
    now[0] += 2
    assert verifier.holder(token) is None


def test_a_token_that_ends_meanwhile_is_not_remembered_past_its_end(issuer, jwks_file):
    now = [time.time()]
    verifier = TokenVerifier(OidcOptions(ISSUER, AUDIENCE, str(jwks_file)), now=lambda: now[0])
    token = issuer.token(exp=now[0] + 20)
    assert verifier.holder(token) is not None
    now[0] += 20
    assert verifier.holder(token) is None


def test_what_is_remembered_is_bounded_and_holds_no_token(issuer, verifier, monkeypatch):
    monkeypatch.setattr(tokens, "MOST_REMEMBERED", 3)
    made = [issuer.token("ec", sub=f"s{number}") for number in range(6)]
    assert [verifier.holder(token).name for token in made] == [f"s{number}" for number in range(6)]
    assert len(verifier._remembered) == 3
    assert all(len(digest) == 32 for digest in verifier._remembered)
    for _ in range(50):
        verifier.holder(f"{made[0]}x")
    assert len(verifier._remembered) == 3


def test_a_subject_cannot_forge_a_line_of_a_log(issuer, verifier):
    holder = verifier.holder(issuer.token(sub="ann\n2026 INFO all is well\x1b[31m" + "x" * 500))
    assert holder.name.isprintable()
    assert len(holder.name) <= 80


@pytest.mark.parametrize(
    ("claim", "claims", "roles"),
    [
        ("roles", {"roles": ["everfresh:predict", "everfresh:read"]}, {"predict", "read"}),
        ("roles", {"roles": ["everfresh:admin"]}, {"predict", "read", "admin"}),
        ("scope", {"scope": "openid everfresh:read profile"}, {"read"}),
        ("realm_access.roles", {"realm_access": {"roles": ["everfresh:read"]}}, {"read"}),
        ("https://example.org/roles", {"https://example.org/roles": ["everfresh:read"]}, {"read"}),
        ("roles", {"roles": ["admin", "predict", "EVERFRESH:ADMIN", "everfresh:", "everfresh:root", 7, None]}, set()),
        ("roles", {"roles": "everfresh:administrator"}, set()),
        ("roles", {"roles": {"everfresh:admin": True}}, set()),
        ("roles", {"roles": None}, set()),
        ("roles", {}, set()),
        ("a.b.c", {"a": ["everfresh:admin"]}, set()),
        ("roles", {"roles": [["everfresh:admin"]]}, set()),
    ],
)
def test_roles_are_words_of_a_claim(claim, claims, roles):
    assert roles_of(claims, claim) == roles


GOOD = {
    "EVERFRESH_OIDC_ISSUER": ISSUER,
    "EVERFRESH_OIDC_AUDIENCE": AUDIENCE,
    "EVERFRESH_OIDC_JWKS": "https://login.example.org/jwks",
}


def test_the_environment_says_whose_tokens_are_accepted():
    assert oidc_options({}) is None
    assert oidc_options(dict.fromkeys(GOOD, "")) is None
    assert oidc_options(GOOD) == OidcOptions(ISSUER, AUDIENCE, "https://login.example.org/jwks", "roles")
    assert oidc_options({**GOOD, "EVERFRESH_OIDC_ROLES": "scope"}).claim == "scope"


@pytest.mark.parametrize("missing", GOOD)
def test_a_part_of_it_is_refused_rather_than_guessed(missing):
    with pytest.raises(InvalidSetting, match=f"{missing} is ''"):
        oidc_options({**GOOD, missing: " "})


@pytest.mark.parametrize("url", ["http://login.example.org/jwks", "file:///etc/passwd", "ftp://x/y", "HTTPS://x/y"])
def test_keys_come_over_https_or_from_a_file(url):
    with pytest.raises(InvalidSetting, match="must be a file or an https URL"):
        oidc_options({**GOOD, "EVERFRESH_OIDC_JWKS": url})


def test_without_the_library_it_is_said_what_to_install(monkeypatch, jwks_file):
    monkeypatch.setattr(tokens, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"pip install 'everfresh\[oidc\]'"):
        TokenVerifier(OidcOptions(ISSUER, AUDIENCE, str(jwks_file)))
