"""The model card: one page in Markdown that a person reads before trusting a version."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from everfresh.registry.lineage import Lineage


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
    scores: Mapping[str, float]
    baseline_scores: Mapping[str, float]
    holdout_rows: int
    notes: Sequence[str]
    served_by: str
    made_at: datetime


def model_card(facts: CardFacts, lineage: Lineage) -> str:
    """The card's text."""
    scores = "\n".join(
        f"| {metric} | {value:.4f} | {facts.baseline_scores.get(metric, float('nan')):.4f} |"
        for metric, value in facts.scores.items()
    )
    params = ", ".join(f"{name} {value}" for name, value in facts.params.items()) or "defaults"
    return f"""# {facts.name}

A {facts.task} model of `{facts.label}`, made {facts.made_at:%Y-%m-%d %H:%M} UTC.

**Model** {facts.candidate} ({params}). {facts.choice}

**Served by** {facts.served_by}

## Scores on {facts.holdout_rows:,} held-out rows

| metric | model | baseline |
|---|---|---|
{scores}

## Data

{lineage.rows:,} training rows{_period(lineage)}, {len(facts.features)} features: {", ".join(facts.features)}.
{_listing("Columns that no model saw", [f"{name}: {why}" for name, why in facts.ignored])}
{_listing("Noted while reading the table", facts.notes)}

## Lineage

| | |
|---|---|
| spec | {lineage.spec_hash} |
| data fingerprint | {lineage.data_fingerprint} |
| code revision | {lineage.code_revision} |
| parent version | {lineage.parent_version or "none"} |
"""


def _period(lineage: Lineage) -> str:
    if lineage.trained_from is None or lineage.trained_through is None:
        return ""
    return f" from {lineage.trained_from:%Y-%m-%d} to {lineage.trained_through:%Y-%m-%d}"


def _listing(title: str, lines: Sequence[str]) -> str:
    return "\n".join((f"\n{title}:\n", *(f"- {line}" for line in lines))) if lines else ""
