from __future__ import annotations

import pytest

from everfresh.serving.access.roles import (
    ANYONE,
    NOBODY,
    OPEN,
    TO_ADMINISTER,
    TO_DESCRIBE,
    TO_PREDICT,
    TO_READ,
    Principal,
    Role,
    all_of,
)

EVERYTHING = (TO_PREDICT, TO_DESCRIBE, TO_READ, TO_ADMINISTER)


@pytest.mark.parametrize(
    ("role", "may"),
    [
        (Role.PREDICT, {TO_PREDICT, TO_DESCRIBE}),
        (Role.READ, {TO_READ, TO_DESCRIBE}),
        (Role.ADMIN, set(EVERYTHING)),
    ],
)
def test_a_role_allows_what_it_says_and_nothing_more(role, may):
    principal = Principal("ann", all_of([role]))
    assert {needs for needs in EVERYTHING if principal.may(needs)} == may


def test_anyone_may_never_administer_and_nobody_may_nothing():
    assert not ANYONE.may(TO_ADMINISTER)
    assert not any(NOBODY.may(needs) for needs in (*EVERYTHING, OPEN))
