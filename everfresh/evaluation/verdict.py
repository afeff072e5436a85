"""What the gates said of a challenger, and what follows from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias, get_args

from everfresh.errors import InvalidOverride, UnreadableVerdict

GateStatus = Literal["PASS", "FAIL", "INSUFFICIENT"]
Status = Literal["PASS", "FAIL", "INSUFFICIENT", "OVERRIDDEN"]
Detail: TypeAlias = "bool | int | float | str | Sequence[Detail] | Mapping[str, Detail] | None"

_FORMAT = 1
_ESCAPED = str.maketrans({"\\": "\\\\", "|": "\\|", "[": "\\[", "`": "\\`", "<": "&lt;"})


@dataclass(frozen=True)
class GateResult:
    """What one gate said.

    Attributes:
        gate: the gate in a few words, as in "slice roc_auc by origin".
        status: INSUFFICIENT where there was too little to measure; a gate itself is never OVERRIDDEN.
        reason: one clause with the figures that decided.
        measured: the figure that was held against the limit; None where nothing was measured, never NaN.
        limit: the limit of the gate, in the unit of `measured`.
        details: further figures for a reader, ready for JSON; nothing decides by them.
    """

    gate: str
    status: GateStatus
    reason: str
    measured: float | None = None
    limit: float | None = None
    details: Mapping[str, Detail] = field(default_factory=dict)


@dataclass(frozen=True)
class Override:
    """A person's decision to let a version serve that its gates did not pass.

    Attributes:
        by: who decided.
        why: the reason, for those who read it later.
        until: when it ends; without a time zone it is taken as UTC.

    Raises:
        InvalidOverride: `by` or `why` is blank.
    """

    by: str
    why: str
    until: datetime

    def __post_init__(self) -> None:
        if not self.by.strip():
            raise InvalidOverride("it does not say who decided")
        if not self.why.strip():
            raise InvalidOverride("it does not say why")
        object.__setattr__(self, "until", _utc(self.until))

    def expired(self, now: datetime) -> bool:
        """Whether it has ended at `now`; the end itself no longer counts."""
        return _utc(now) >= self.until


@dataclass(frozen=True)
class Verdict:
    """Whether a challenger may serve, with the reason and every gate's result.

    Attributes:
        results: one for each gate, in the order of the spec.
        status: OVERRIDDEN only through `override`.
        reason: what decided, in one sentence.
        overridden: who let it pass all the same, until when; None where nobody did.
    """

    results: tuple[GateResult, ...]
    status: Status
    reason: str
    overridden: Override | None = None

    @property
    def passed(self) -> bool:
        """Whether it may serve: its gates passed, or a person overrode them. See `passes_at` for the expiry."""
        return self.status in ("PASS", "OVERRIDDEN")

    def passes_at(self, now: datetime) -> bool:
        """Whether it may serve at `now`: an override that has expired no longer counts."""
        return self.passed and (self.overridden is None or not self.overridden.expired(now))

    def to_json(self) -> dict[str, Any]:
        """A mapping of JSON's own types; `from_json` gives the same verdict back."""
        overridden = self.overridden and {**asdict(self.overridden), "until": self.overridden.until.isoformat()}
        return {
            "format": _FORMAT,
            "status": self.status,
            "reason": self.reason,
            "results": [asdict(result) for result in self.results],
            "overridden": overridden,
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Verdict:
        """The verdict that `to_json` wrote.

        Raises:
            UnreadableVerdict: `document` is something else, was written by a newer everfresh, or does not follow from
                its gates.
        """
        if not isinstance(document, Mapping):
            raise UnreadableVerdict(f"it is a {type(document).__name__}")
        if document.get("format") != _FORMAT:
            raise UnreadableVerdict(f"its format is {document.get('format')!r}, this version reads {_FORMAT}")
        if document.get("status") not in get_args(Status):
            raise UnreadableVerdict(f"its status is {document.get('status')!r}")
        try:
            verdict = cls(
                results=tuple(GateResult(**result) for result in document["results"]),
                status=document["status"],
                reason=document["reason"],
                overridden=_read_override(document["overridden"]),
            )
        except (KeyError, TypeError, ValueError, InvalidOverride) as error:
            raise UnreadableVerdict(f"{type(error).__name__}: {error}") from error
        if why := _contradiction(verdict):
            raise UnreadableVerdict(why)
        return verdict

    def to_markdown(self) -> str:
        """A heading, the reason, and a table of the gates, for a card or a Prefect artifact."""
        lines = [f"## Verdict: {self.status}", "", _cell(self.reason)]
        if self.results:
            lines += ["", "| gate | status | measured | limit | reason |", "|---|---|---:|---:|---|"]
            lines += [_row(result) for result in self.results]
        return "\n".join(lines) + "\n"


def conclude(results: Sequence[GateResult]) -> Verdict:
    """The verdict that follows from the gates: FAIL if any failed, else INSUFFICIENT if any is, else PASS.

    >>> conclude([GateResult("threshold roc_auc", "FAIL", "roc_auc is 0.541, the gate asks at least 0.620")]).reason
    'roc_auc is 0.541, the gate asks at least 0.620.'
    """
    failed = [result for result in results if result.status == "FAIL"]
    undecided = [result for result in results if result.status == "INSUFFICIENT"]
    if failed:
        return Verdict(tuple(results), "FAIL", _sentence(failed))
    if undecided:
        return Verdict(tuple(results), "INSUFFICIENT", _sentence(undecided))
    return Verdict(tuple(results), "PASS", _all_passed(len(results)))


def override(verdict: Verdict, decision: Override, now: datetime) -> Verdict:
    """The verdict after a person decided to let the version serve.

    A verdict that passes by itself stays as it is: there is nothing to override. So does one whose override has
    already expired, with a reason that says so. What the gates measured is never changed.
    """
    if verdict.status == "PASS":
        return verdict
    until = f"{decision.until:%F %H:%M} UTC"
    if decision.expired(now):
        return replace(verdict, reason=f"{verdict.reason} The override by {decision.by} ended at {until}.")
    why = decision.why.strip().rstrip(".")
    said = conclude(verdict.results).reason
    reason = f"Overridden by {decision.by} until {until}: {why}. The gates said: {said}"
    return replace(verdict, status="OVERRIDDEN", reason=reason, overridden=decision)


def _all_passed(gates: int) -> str:
    if gates == 0:
        return "The spec asks for no gates."
    return "The gate passed." if gates == 1 else f"All {gates} gates passed."


def _sentence(results: Sequence[GateResult]) -> str:
    return f"{'; '.join(result.reason for result in results)}."


def _utc(time: datetime) -> datetime:
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def _read_override(document: Mapping[str, Any] | None) -> Override | None:
    if document is None:
        return None
    return Override(by=document["by"], why=document["why"], until=datetime.fromisoformat(document["until"]))


def _contradiction(verdict: Verdict) -> str:
    """Why a verdict does not follow from its gates, as a clause; empty where it does."""
    if unknown := [result.status for result in verdict.results if result.status not in get_args(GateStatus)]:
        return f"a gate's status is {unknown[0]!r}"
    followed = conclude(verdict.results).status
    if verdict.status == "OVERRIDDEN":
        return "" if verdict.overridden else "it is overridden by nobody"
    return "" if verdict.status == followed else f"it says {verdict.status}, and its gates say {followed}"


def _row(result: GateResult) -> str:
    cells = (result.gate, result.status, _figure(result.measured), _figure(result.limit), result.reason)
    return f"| {' | '.join(_cell(cell) for cell in cells)} |"


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _cell(text: str) -> str:
    """Text that is only text in its cell: slices carry values of the table, which anybody may have written."""
    return " ".join(text.translate(_ESCAPED).split())
