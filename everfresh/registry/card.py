"""The model card: one page in Markdown that a person reads before trusting a version."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from everfresh.markdown import markdown_table, plain
from everfresh.registry.lineage import Lineage
from everfresh.registry.versions import Scores


@dataclass(frozen=True)
class CardFacts:
    """What the card tells. `scores` are on the holdout; `ignored` are columns that no model saw, with the reason."""

    name: str
    task: str
    label: str
    candidate: str
    choice: str
    params: Mapping[str, object]
    features: Sequence[str]
    ignored: Sequence[tuple[str, str]]
    scores: Scores
    baseline_scores: Scores
    holdout_rows: int
    notes: Sequence[str]
    served_by: str
    made_at: datetime


def model_card(facts: CardFacts, lineage: Lineage) -> str:
    """The card's text. Names and notes come from data, and are written so that they stay what they are."""
    baseline = dict[str, float](facts.baseline_scores.items())
    scores = [(name, f"{value:.4f}", _figure(baseline.get(name))) for name, value in facts.scores.items()]
    params = ", ".join(f"{name} {value}" for name, value in facts.params.items()) or "defaults"
    made_from = [
        ("spec", lineage.spec_hash),
        ("data fingerprint", lineage.data_fingerprint),
        ("code revision", lineage.code_revision),
        ("parent version", str(lineage.parent_version or "none")),
    ]
    return f"""# {plain(facts.name)}

A {facts.task} model of {plain(facts.label)}, made {facts.made_at:%Y-%m-%d %H:%M} UTC.

**Model** {plain(facts.candidate)} ({plain(params)}). {plain(facts.choice)}

**Served by** {plain(facts.served_by)}

## Scores on {facts.holdout_rows:,} held-out rows

{markdown_table(("metric", "model", "baseline"), scores)}

## Data

{lineage.rows:,} training rows{_period(lineage)}, {len(facts.features)} features: {plain(", ".join(facts.features))}.
{_listing("Columns that no model saw", [f"{name}: {why}" for name, why in facts.ignored])}
{_listing("Noted while reading the table", facts.notes)}

## Lineage

{markdown_table(("made from", ""), made_from)}
"""


def _period(lineage: Lineage) -> str:
    if lineage.trained_from is None or lineage.trained_through is None:
        return ""
    return f" from {lineage.trained_from:%Y-%m-%d} to {lineage.trained_through:%Y-%m-%d}"


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _listing(title: str, lines: Sequence[str]) -> str:
    return "\n".join((f"\n{title}:\n", *(f"- {plain(line)}" for line in lines))) if lines else ""
