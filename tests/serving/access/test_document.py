"""What docs/security.md quotes is what the code says."""

from __future__ import annotations

from pathlib import Path

import pytest

from everfresh.errors import OpenToTheNetwork, TlsUnusable
from everfresh.serving.access import tls, tokens
from everfresh.serving.access.keys import MOST_LIVE
from everfresh.serving.access.refusals import Forbidden, ForeignHost, ForeignOrigin, NoAdministrator, Unauthenticated
from everfresh.serving.access.roles import Principal, Role

DOCUMENT = (Path(__file__).parents[3] / "docs" / "security.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "refusal",
    [
        NoAdministrator(),
        Unauthenticated(),
        ForeignHost("evil.example"),
        ForeignOrigin("https://evil.example"),
        Forbidden(Principal("batch-scoring", frozenset({Role.PREDICT})), "read"),
    ],
    ids=lambda refusal: refusal.code,
)
def test_answers_are_quoted_as_they_are(refusal):
    assert f'{{"error":"{refusal}","code":"{refusal.code}","request_id":' in DOCUMENT


def test_sentences_at_the_start_are_quoted_as_they_are(tmp_path, monkeypatch):
    assert f"\n    {OpenToTheNetwork('0.0.0.0')}\n" in DOCUMENT
    monkeypatch.chdir(tmp_path)
    Path("old.key").write_text("-----BEGIN RSA PRIVATE KEY-----\n")
    with pytest.raises(TlsUnusable) as refusal:
        tls.checked_tls(tls.TlsOptions(Path("server.crt"), Path("old.key")))
    assert f"\n    {refusal.value}\n" in DOCUMENT


def test_names_and_figures_are_those_of_the_code():
    for role in Role:
        assert f"| `{role}` | " in DOCUMENT
        assert f"`{tokens.PREFIX}{role}`" in DOCUMENT
    assert ", ".join(f"`{claim}`" for claim in tokens.REQUIRED_CLAIMS) in DOCUMENT
    assert f"with {tokens.LEEWAY_S:.0f} s for clocks that differ" in DOCUMENT
    assert all(f"export {name}=" in DOCUMENT for name in (tokens.ISSUER, tokens.AUDIENCE, tokens.JWKS, tokens.ROLES))
    assert (MOST_LIVE, tls.MINIMA, tokens.REMEMBERED_S) == (2, ("1.2", "1.3"), 60.0)
