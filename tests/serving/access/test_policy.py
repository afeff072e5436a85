"""Who is let in where: nothing configured, keys, tokens, certificates, and what is refused before the server starts."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest

from everfresh.errors import InvalidSetting, KeysUnreadable, OpenToTheNetwork, TokenKeysUnreadable
from everfresh.serving.access import files
from everfresh.serving.access.keys import revoke_key
from everfresh.serving.access.policy import AccessPolicy, access_options, checked_access
from everfresh.serving.access.refusals import Forbidden, ForeignHost, NoAdministrator, Unauthenticated
from everfresh.serving.access.roles import ANYONE, Role

EVERYTHING = ("describe", "predict", "read", "admin")


@pytest.fixture(autouse=True)
def look_always(monkeypatch):
    monkeypatch.setattr(files, "LOOK_EVERY_S", -1.0)


@pytest.fixture
def policy(tmp_path):
    """The policy of a server, after the checks of its start."""

    def of(host="127.0.0.1", *, is_open=False, certificates=False, **environment):
        options = access_options(tmp_path, host, is_open=is_open, certificates=certificates, environment=environment)
        return AccessPolicy(checked_access(options))

    return of


@pytest.fixture
def oidc(jwks_file):
    return {
        "EVERFRESH_OIDC_ISSUER": "https://login.example.org/",
        "EVERFRESH_OIDC_AUDIENCE": "everfresh-serving",
        "EVERFRESH_OIDC_JWKS": str(jwks_file),
    }


def bearer(presented):
    return {"authorization": f"Bearer {presented}"}


def allowed(policy, headers):
    """What a request with these headers may do."""
    found = set()
    for needs in EVERYTHING:
        try:
            policy.authorize(headers, needs)
            found.add(needs)
        except (Unauthenticated, Forbidden):
            pass
    return found


def test_with_nothing_configured_this_machine_may_predict_and_read_and_nobody_may_administer(policy):
    here = policy()
    assert allowed(here, {}) == allowed(here, bearer("anything.at-all")) == {"predict", "describe", "read"}
    with pytest.raises(NoAdministrator) as refused:
        here.authorize({}, "admin")
    assert (refused.value.status, refused.value.headers) == (401, {"www-authenticate": "Bearer"})


def test_a_server_that_others_reach_and_that_asks_nobody_does_not_start(policy):
    for host in ("0.0.0.0", "::", "10.1.2.3", "models.example.org"):
        with pytest.raises(OpenToTheNetwork, match="everfresh keys add"):
            policy(host)


def test_unless_that_is_said_and_even_then_nobody_may_administer(policy):
    assert allowed(policy("0.0.0.0", is_open=True), {}) == {"predict", "describe", "read"}


def test_with_keys_each_may_do_what_their_roles_say_from_wherever(policy, make_key):
    asked = {
        "ann": make_key("ann", Role.PREDICT),
        "bob": make_key("bob", Role.READ),
        "eve": make_key("eve", Role.ADMIN),
    }
    for host in ("127.0.0.1", "0.0.0.0"):
        found = {name: allowed(policy(host), bearer(key)) for name, key in asked.items()}
        assert found == {"ann": {"predict", "describe"}, "bob": {"read", "describe"}, "eve": set(EVERYTHING)}
        assert allowed(policy(host), {}) == set()


def test_openness_that_was_said_does_not_let_strangers_past_keys(policy, make_key):
    make_key()
    assert allowed(policy("0.0.0.0", is_open=True), {}) == set()


def test_health_is_open_whoever_asks(policy, make_key):
    make_key()
    for headers in ({}, bearer("ef_00000000.x"), {"authorization": "Basic YTpi"}):
        assert policy("0.0.0.0").authorize(headers, "nothing") is ANYONE


def test_the_first_key_closes_a_running_server_and_the_last_revocation_does_not_open_it(policy, make_key, keys_file):
    here = policy()
    assert allowed(here, {}) == {"predict", "describe", "read"}
    presented = make_key()
    assert allowed(here, {}) == set()
    revoke_key(keys_file, presented.partition(".")[0], now=datetime.now(UTC))
    assert allowed(here, bearer(presented)) == allowed(here, {}) == set()


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_deleting_the_file_opens_nothing_not_even_in_a_worker_that_starts_afterwards(policy, tmp_path, make_key, host):
    make_key()
    options = checked_access(access_options(tmp_path, host, is_open=True, environment={}))
    running = AccessPolicy(options)
    (tmp_path / "keys.json").unlink()
    assert allowed(running, {}) == allowed(AccessPolicy(options), {}) == set()


def test_tokens_and_keys_stand_beside_each_other(policy, oidc, issuer, make_key):
    here = policy("0.0.0.0", **oidc)
    assert allowed(here, bearer(issuer.token())) == {"predict", "describe"}
    assert allowed(here, bearer(issuer.token("ec", roles=["everfresh:admin"]))) == set(EVERYTHING)
    assert allowed(here, bearer(issuer.token(exp=time.time() - 60))) == set()
    assert allowed(here, {}) == set()
    assert allowed(here, bearer(make_key("bob", Role.READ))) == {"read", "describe"}


def test_a_known_sender_without_a_role_is_forbidden_and_not_unknown(policy, oidc, issuer):
    with pytest.raises(Forbidden, match="needs the role predict; ann has no role") as refused:
        policy(**oidc).authorize(bearer(issuer.token(roles=[])), "predict")
    assert refused.value.status == 403


def test_a_certificate_lets_its_holder_predict_and_read_but_not_administer(policy):
    here = policy("0.0.0.0", certificates=True)
    assert allowed(here, {}) == {"predict", "describe", "read"}


def test_with_certificates_and_keys_it_takes_both(policy, make_key):
    presented = make_key("ann", Role.ADMIN)
    here = policy("0.0.0.0", certificates=True)
    assert allowed(here, {}) == set()
    assert allowed(here, bearer(presented)) == set(EVERYTHING)


def test_nobody_learns_why_a_credential_is_not_good(policy, oidc, issuer, stranger, make_key, keys_file):
    good = make_key()
    revoked = make_key("bob")
    revoke_key(keys_file, revoked.partition(".")[0], now=datetime.now(UTC))
    here = policy("0.0.0.0", **oidc)
    said = set()
    for presented in (
        revoked, f"{good}x", f"{good[:-1]}_", "ef_00000000." + "A" * 43, "", "x", "a.b.c", "a.b.c.d.e",
        issuer.token(exp=1), issuer.token(aud="x"), issuer.token("rsa", alg="RS512"), stranger.token(),
        issuer.token()[:-4],
    ):  # fmt: skip
        with pytest.raises(Unauthenticated) as refused:
            here.authorize(bearer(presented), "predict")
        said.add((type(refused.value), str(refused.value), refused.value.code, refused.value.field))
    with pytest.raises(Unauthenticated) as refused:
        here.authorize({}, "predict")
    said.add((type(refused.value), str(refused.value), refused.value.code, refused.value.field))
    assert len(said) == 1
    assert not any(word in str(said).lower() for word in ("expired", "revoked", "audience", "signature", "issuer"))


@pytest.mark.parametrize(
    ("scheme", "is_good"),
    [("Bearer {}", True), ("bearer {}", True), ("BEARER {}", True), ("{}", False), ("Bearer  {}", False),
     ("Bearer {} ", False), ("Bearer\t{}", False), ("Bearer {},Bearer {}", False), ("Basic {}", False),
     ("Bearer: {}", False), ("Bearer \u00a0{}", False), (" Bearer {}", False), ("Token {}", False)],
)  # fmt: skip
def test_a_credential_stands_after_the_word_bearer_and_one_space(policy, make_key, scheme, is_good):
    presented = make_key()
    here = policy()
    assert bool(allowed(here, {"authorization": scheme.replace("{}", presented)})) is is_good


def test_of_two_credentials_none_is_taken(policy, make_key, headers_of):
    good = f"Bearer {make_key()}"
    here = policy()
    assert allowed(here, headers_of(("authorization", good))) == {"predict", "describe"}
    for second in (good, "Bearer x", "", "Basic YTpi"):
        for pairs in ((good, second), (second, good)):
            assert allowed(here, headers_of(*(("authorization", value) for value in pairs))) == set()


@pytest.mark.parametrize(
    "presented", ["A" * 10_000_000, "." * 10_000_000, "a.b." + "A" * 10_000_000, "é.ü.ö", "\udcff.a", "\udcff.a.b"]
)
def test_a_very_long_or_strange_credential_is_refused_at_once(policy, oidc, presented):
    here = policy(**oidc)
    headers = bearer(presented)
    began = time.perf_counter()
    with pytest.raises(Unauthenticated):
        here.authorize(headers, "predict")
    assert time.perf_counter() - began < 0.05


def test_a_foreign_host_is_refused_before_anything_is_asked_for(policy, make_key):
    good = bearer(make_key())
    for needs in (*EVERYTHING, "nothing"):
        with pytest.raises(ForeignHost):
            policy().authorize({**good, "host": "evil.example"}, needs)
    assert allowed(
        policy(EVERFRESH_SERVING_HOSTS="models.example.org, b.example.org"), {**good, "host": "b.example.org"}
    )


@pytest.mark.parametrize("text", ["models.example.org:8080", "https://models.example.org", "*", "*.example.org", "a b"])
def test_a_host_that_is_none_is_refused_at_the_start(policy, text):
    with pytest.raises(InvalidSetting, match="EVERFRESH_SERVING_HOSTS"):
        policy(EVERFRESH_SERVING_HOSTS=text)


def test_the_environment_may_name_another_file(policy, tmp_path, make_key, keys_file):
    presented = make_key()
    elsewhere = keys_file.rename(tmp_path / "secret.json")
    assert allowed(policy(EVERFRESH_SERVING_KEYS=str(elsewhere)), bearer(presented)) == {"predict", "describe"}
    assert allowed(policy(), {}) != set()


def test_what_cannot_work_is_told_at_the_start(policy, oidc, keys_file, jwks_file):
    jwks_file.write_text("{}")
    with pytest.raises(TokenKeysUnreadable):
        policy(**oidc)
    keys_file.write_text("{")
    with pytest.raises(KeysUnreadable):
        policy()


def test_other_transports_ask_with_the_header_alone(policy, make_key):
    here = policy()
    assert here.admit(None, "predict") is ANYONE
    presented = make_key("ann")
    assert here.admit(f"Bearer {presented}", "predict").name == "ann"
    assert here.admit(None, "nothing") is ANYONE
    with pytest.raises(Forbidden, match="needs the role admin; ann has predict"):
        here.admit(f"Bearer {presented}", "admin")
    with pytest.raises(Unauthenticated):
        here.admit(None, "predict")
