from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from everfresh.registry.versions import ModelVersion, tag_time

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def version(**tags: str) -> ModelVersion:
    return ModelVersion("flights", 3, "r1", NOW, (), {f"everfresh.{key}": value for key, value in tags.items()})


def test_tags_are_read_as_what_they_are() -> None:
    read = version(
        key="k1",
        data_fingerprint="d1",
        trained_from="2013-01-01T00:00:00+00:00",
        trained_through="2013-02-28T23:00:00+00:00",
        as_of="2013-03-01T00:00:00",
        promoted_at="2026-02-01T00:00:00+00:00",
        parent_version="2",
        replaced="1",
        verdict="PASS",
        verdict_reason="All 3 gates passed.",
        bundle_digest="b1",
        holdout='{"roc_auc": 0.7}',
        mode="replay",
    )
    assert (read.key, read.data_fingerprint, read.bundle_digest) == ("k1", "d1", "b1")
    assert read.trained_from == datetime(2013, 1, 1, tzinfo=UTC)
    assert read.trained_through == datetime(2013, 2, 28, 23, tzinfo=UTC)
    assert read.as_of == datetime(2013, 3, 1, tzinfo=UTC)
    assert read.promoted_at == datetime(2026, 2, 1, tzinfo=UTC)
    assert (read.parent_version, read.replaced) == (2, 1)
    assert (read.verdict, read.verdict_reason) == ("PASS", "All 3 gates passed.")
    assert (read.holdout_scores, read.mode) == ({"roc_auc": 0.7}, "replay")
    assert str(read) == "flights v3"


def test_a_version_without_tags_has_no_past() -> None:
    bare = version()
    assert (bare.key, bare.data_fingerprint, bare.verdict, bare.verdict_reason) == ("", "", "", "")
    assert (bare.trained_from, bare.trained_through, bare.as_of, bare.promoted_at, bare.override_until) == (None,) * 5
    assert (bare.parent_version, bare.replaced) == (None, None)
    assert (bare.holdout_scores, bare.mode) == ({}, "production")
    assert not bare.may_serve
    assert not bare.may_serve_at(NOW)


def test_a_tag_that_somebody_wrote_by_hand_counts_as_missing() -> None:
    odd = version(
        trained_through="yesterday", parent_version="v2", replaced="-1", holdout="[0.7", override_until="soon"
    )
    assert (odd.trained_through, odd.parent_version, odd.replaced, odd.holdout_scores) == (None, None, None, {})
    assert version(holdout="[0.7]").holdout_scores == {}


@pytest.mark.parametrize(("verdict", "serves"), [("PASS", True), ("FAIL", False), ("INSUFFICIENT", False), ("", False)])
def test_a_verdict_without_override_does_not_depend_on_the_time(verdict: str, serves: bool) -> None:
    judged = version(verdict=verdict)
    assert judged.may_serve is serves
    assert judged.may_serve_at(NOW) is serves
    assert judged.may_serve_at(NOW + timedelta(days=1000)) is serves


def test_an_override_counts_until_it_ends() -> None:
    overridden = version(verdict="OVERRIDDEN", override_until=tag_time(NOW))
    assert overridden.may_serve_at(NOW - timedelta(seconds=1))
    assert not overridden.may_serve_at(NOW)
    assert overridden.may_serve


@pytest.mark.parametrize("until", ["", "for ever"])
def test_an_override_without_an_end_never_counts(until: str) -> None:
    assert not version(verdict="OVERRIDDEN", override_until=until).may_serve_at(NOW)


def test_times_are_compared_wherever_they_were_written() -> None:
    eastern = timezone(timedelta(hours=-5))
    overridden = version(verdict="OVERRIDDEN", override_until=tag_time(datetime(2026, 3, 1, 7, 0, tzinfo=eastern)))
    assert not overridden.may_serve_at(NOW)
    assert overridden.may_serve_at(NOW.replace(tzinfo=None) - timedelta(minutes=1))


def test_a_time_in_a_tag_is_utc() -> None:
    assert tag_time(datetime(2013, 1, 1, 7, tzinfo=timezone(timedelta(hours=-5)))) == "2013-01-01T12:00:00+00:00"
    assert tag_time(datetime(2013, 1, 1)) == "2013-01-01T00:00:00+00:00"
