from datetime import UTC, datetime, timedelta

import pytest

from everfresh.loop.permission import may_deploy, may_serve
from everfresh.registry.versions import ModelVersion
from everfresh.spec.promotion import PromotionSpec

NOW = datetime(2013, 6, 1, tzinfo=UTC)
AUTOMATIC, REQUIRED = PromotionSpec(), PromotionSpec(approval="required")


def version(*aliases: str, **tags: object) -> ModelVersion:
    return ModelVersion(
        "rides", 2, "run", NOW, aliases, {f"everfresh.{name}": str(text) for name, text in tags.items()}
    )


def at(days: float) -> str:
    return (NOW + timedelta(days=days)).isoformat()


PASSED = {"verdict": "PASS", "verdict_reason": "All 3 gates passed."}


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ({}, "rides v2 was never judged; train it with `everfresh train rides`."),
        ({"verdict": "FAIL", "verdict_reason": "roc_auc is 0.5."}, "rides v2 may not serve: roc_auc is 0.5."),
        (
            {"verdict": "INSUFFICIENT", "verdict_reason": "too few rows."},
            "rides v2 may not serve: too few rows.",
        ),
        (
            {"verdict": "YES", "verdict_reason": "somebody wrote a tag."},
            "rides v2 may not serve: somebody wrote a tag.",
        ),
        (
            {"verdict": "OVERRIDDEN", "verdict_reason": "Overridden by Ada.", "override_until": at(-1)},
            "rides v2 may not serve: its override ended at 2013-05-31 00:00 UTC. Overridden by Ada.",
        ),
        (
            {"verdict": "OVERRIDDEN", "verdict_reason": "Overridden by nobody knows who."},
            "rides v2 may not serve: Overridden by nobody knows who.",
        ),
    ],
)
def test_nothing_serves_that_no_gate_and_no_person_let_through(tags: dict[str, str], reason: str) -> None:
    for promotion in (AUTOMATIC, REQUIRED):
        permission = may_deploy(promotion, version(**tags), "Ada", NOW)
        assert (permission.status, permission.reason) == ("refused", reason)
    assert not may_serve(version(**tags), NOW).granted


def test_a_version_that_passed_may_be_rolled_out() -> None:
    permission = may_deploy(AUTOMATIC, version(**PASSED), "", NOW)

    assert permission.granted
    assert permission.reason == "All 3 gates passed"


def test_an_override_counts_until_it_ends() -> None:
    overridden = version(verdict="OVERRIDDEN", verdict_reason="Overridden by Ada.", override_until=at(1))

    assert may_deploy(AUTOMATIC, overridden, "", NOW).granted
    assert not may_deploy(AUTOMATIC, overridden, "", NOW + timedelta(days=1)).granted


@pytest.mark.parametrize("nobody", ["", "  "])
def test_where_a_person_must_say_yes_nobody_is_no_person(nobody: str) -> None:
    permission = may_deploy(REQUIRED, version(**PASSED), nobody, NOW)

    assert permission.status == "waiting"
    assert "`everfresh deploy rides --version 2 --approved-by NAME`" in permission.reason


def test_the_person_is_named_in_the_reason() -> None:
    assert may_deploy(REQUIRED, version(**PASSED), " Ada ", NOW).reason == "All 3 gates passed, approved by Ada"


def test_what_was_rolled_back_does_not_return_by_itself() -> None:
    rolled_back = version(**PASSED, promoted_at=at(-3), demoted_at=at(-2))

    assert may_deploy(AUTOMATIC, rolled_back, "", NOW).status == "waiting"
    assert "was rolled back" in may_deploy(AUTOMATIC, rolled_back, "", NOW).reason
    assert may_deploy(AUTOMATIC, rolled_back, "Ada", NOW).granted
    assert may_serve(rolled_back, NOW).granted


@pytest.mark.parametrize(
    "returned",
    [version(**PASSED, demoted_at=at(-3), promoted_at=at(-2)), version("champion", **PASSED, demoted_at=at(-3))],
)
def test_what_came_back_since_is_as_any_other(returned: ModelVersion) -> None:
    assert may_deploy(AUTOMATIC, returned, "", NOW).granted
