from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from everfresh.errors import InvalidOverride, UnreadableVerdict
from everfresh.evaluation.verdict import GateResult, Override, Verdict, conclude, override

NOW = datetime(2013, 7, 1, 12, tzinfo=UTC)
PASSED = GateResult("parity", "PASS", "the bundle's answer differs by at most 3e-08", 3e-8, 1e-6)
FAILED = GateResult("threshold roc_auc", "FAIL", "roc_auc is 0.541, the gate asks at least 0.620", 0.541, 0.62)
UNSURE = GateResult("servable", "INSUFFICIENT", "serving was not measured", details={"rows": {"a": 1}, "none": None})
UNTIL = NOW + timedelta(days=7)
DECISION = Override("Ada", "the holdout was a strike", UNTIL)


@pytest.mark.parametrize(("results", "status", "reason"), [
    ([], "PASS", "The spec asks for no gates."),
    ([PASSED], "PASS", "The gate passed."),
    ([PASSED, PASSED], "PASS", "All 2 gates passed."),
    ([PASSED, UNSURE], "INSUFFICIENT", "serving was not measured."),
    ([UNSURE, FAILED], "FAIL", "roc_auc is 0.541, the gate asks at least 0.620."),
    ([FAILED, FAILED], "FAIL", f"{FAILED.reason}; {FAILED.reason}."),
])  # fmt: skip
def test_a_verdict_follows_from_its_gates(results: list[GateResult], status: str, reason: str) -> None:
    verdict = conclude(results)
    assert (verdict.status, verdict.reason, verdict.passed) == (status, reason, status == "PASS")


def test_a_person_lets_a_version_serve_for_a_while() -> None:
    verdict = override(conclude([FAILED]), DECISION, NOW)
    assert verdict.status == "OVERRIDDEN"
    assert verdict.reason == (
        "Overridden by Ada until 2013-07-08 12:00 UTC: the holdout was a strike. "
        "The gates said: roc_auc is 0.541, the gate asks at least 0.620."
    )
    assert verdict.results == (FAILED,)
    assert verdict.passes_at(UNTIL - timedelta(seconds=1))
    assert not verdict.passes_at(UNTIL)


def test_what_passes_by_itself_is_not_overridden() -> None:
    verdict = conclude([PASSED])
    assert override(verdict, DECISION, NOW) is verdict
    assert verdict.passes_at(datetime.max.replace(tzinfo=UTC))


def test_an_override_that_has_ended_lets_nothing_pass() -> None:
    verdict = override(conclude([UNSURE]), DECISION, UNTIL)
    assert (verdict.status, verdict.passed) == ("INSUFFICIENT", False)
    assert verdict.reason == "serving was not measured. The override by Ada ended at 2013-07-08 12:00 UTC."


def test_a_second_override_takes_the_place_of_the_first() -> None:
    once = override(conclude([FAILED]), DECISION, NOW)
    twice = override(once, Override("Bob", "still on strike.", UNTIL + timedelta(days=7)), NOW)
    assert twice.reason == (
        "Overridden by Bob until 2013-07-15 12:00 UTC: still on strike. "
        "The gates said: roc_auc is 0.541, the gate asks at least 0.620."
    )
    assert twice.passes_at(UNTIL)


@pytest.mark.parametrize("until", [
    datetime(2013, 7, 8, 12), datetime(2013, 7, 8, 8, tzinfo=timezone(timedelta(hours=-4))),
])  # fmt: skip
def test_the_end_of_an_override_is_in_utc(until: datetime) -> None:
    assert Override("Ada", "why", until).until == UNTIL
    assert Override("Ada", "why", UNTIL).expired(until)


@pytest.mark.parametrize(("by", "why", "said"), [
    (" ", "because", "it does not say who decided"), ("Ada", "\n", "it does not say why"),
])  # fmt: skip
def test_an_override_has_a_name_and_a_reason(by: str, why: str, said: str) -> None:
    with pytest.raises(InvalidOverride, match=said):
        Override(by, why, UNTIL)


@pytest.mark.parametrize("verdict", [
    conclude([]), conclude([PASSED, FAILED, UNSURE]), override(conclude([PASSED, FAILED]), DECISION, NOW),
])  # fmt: skip
def test_a_verdict_is_the_same_after_a_way_through_json(verdict: Verdict) -> None:
    assert Verdict.from_json(json.loads(json.dumps(verdict.to_json()))) == verdict


GOOD: dict[str, Any] = conclude([PASSED, FAILED]).to_json()
OVERRIDDEN: dict[str, Any] = override(conclude([FAILED]), DECISION, NOW).to_json()


@pytest.mark.parametrize(("document", "why"), [
    ([], "it is a list"),
    ({}, "its format is None, this version reads 1"),
    ({**GOOD, "format": 2}, "its format is 2, this version reads 1"),
    ({**GOOD, "status": "GOOD"}, "its status is 'GOOD'"),
    ({**GOOD, "status": "PASS"}, "it says PASS, and its gates say FAIL"),
    ({**GOOD, "status": "OVERRIDDEN"}, "it is overridden by nobody"),
    ({**GOOD, "results": [{**GOOD["results"][0], "status": "MAYBE"}]}, "a gate's status is 'MAYBE'"),
    ({**GOOD, "results": [{"gate": "parity"}]}, "TypeError: .* missing 2 required positional arguments"),
    ({**GOOD, "results": None}, "TypeError: 'NoneType' object is not iterable"),
    ({"format": 1, "status": "PASS"}, "KeyError: 'results'"),
    ({**OVERRIDDEN, "overridden": {"by": "Ada", "why": "x", "until": "soon"}}, "ValueError: Invalid isoformat string"),
    ({**OVERRIDDEN, "overridden": {"by": "", "why": "x", "until": "2013-07-08"}}, "it does not say who decided"),
])  # fmt: skip
def test_what_is_no_verdict_is_not_read_as_one(document: Any, why: str) -> None:
    with pytest.raises(UnreadableVerdict, match=why):
        Verdict.from_json(document)


def test_the_table_of_the_gates_is_for_people() -> None:
    assert conclude([PASSED, UNSURE]).to_markdown() == (
        "## Verdict: INSUFFICIENT\n"
        "\n"
        "serving was not measured.\n"
        "\n"
        "| gate | status | measured | limit | reason |\n"
        "|---|---|---:|---:|---|\n"
        "| parity | PASS | 3e-08 | 1e-06 | the bundle's answer differs by at most 3e-08 |\n"
        "| servable | INSUFFICIENT |  |  | serving was not measured |\n"
    )


def test_a_value_of_the_table_stays_text_in_its_cell() -> None:
    wild = GateResult("slice", "FAIL", "x\n\n| \\| <script> `code` ![pixel](http://example.org) [link](x)", 0.5, 0.6)
    last = conclude([wild]).to_markdown().splitlines()[-1]
    assert last == (
        "| slice | FAIL | 0.5 | 0.6 | x \\| \\\\\\| &lt;script> \\`code\\` !\\[pixel](http://example.org) \\[link](x) |"
    )
