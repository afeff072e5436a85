from __future__ import annotations

import pytest

from everfresh.serving.access.roles import ANYONE, NOBODY, Principal, Role, all_of

EVERYTHING = ("describe", "predict", "read", "admin")


@pytest.mark.parametrize(
    ("roles", "may"),
    [
        ([], set()),
        ([Role.PREDICT], {"predict", "describe"}),
        ([Role.READ], {"read", "describe"}),
        ([Role.PREDICT, Role.READ], {"predict", "read", "describe"}),
        ([Role.ADMIN], set(EVERYTHING)),
        ([Role.ADMIN, Role.READ], set(EVERYTHING)),
    ],
)
def test_a_role_allows_what_it_says_and_nothing_more(roles, may):
    principal = Principal("ann", all_of(roles))
    assert {needs for needs in EVERYTHING if principal.may(needs)} == may


def test_anyone_may_never_administer_and_nobody_may_nothing():
    assert not ANYONE.may("admin")
    assert not any(NOBODY.may(needs) for needs in (*EVERYTHING, "nothing"))
