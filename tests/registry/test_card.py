from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from everfresh.registry.card import CardFacts, model_card
from everfresh.registry.lineage import Lineage

LINEAGE = Lineage(
    spec_hash="s1",
    data_fingerprint="d1",
    code_revision="c1",
    parent_version=2,
    rows=12000,
    trained_from=datetime(2013, 1, 1, tzinfo=UTC),
    trained_through=datetime(2013, 2, 28, tzinfo=UTC),
)
FACTS = CardFacts(
    name="flights",
    task="classification",
    label="delayed",
    candidate="boosting",
    choice="boosting has the best log_loss of 2 candidates.",
    params={"max_depth": 4},
    features=["distance", "carrier"],
    ignored=[("tailnum", "it has 3,000 values")],
    scores={"roc_auc": 0.7, "log_loss": 0.5},
    baseline_scores={"roc_auc": 0.5},
    holdout_rows=3000,
    notes=["12 rows had no label"],
    served_by="ONNX Runtime, largest difference 2e-16 over 222 rows",
    made_at=datetime(2026, 3, 1, 12, 30, tzinfo=UTC),
)


def test_the_card_tells_what_a_person_asks() -> None:
    assert (
        model_card(FACTS, LINEAGE)
        == """# flights

A classification model of delayed, made 2026-03-01 12:30 UTC.

**Model** boosting (max_depth 4). boosting has the best log_loss of 2 candidates.

**Served by** ONNX Runtime, largest difference 2e-16 over 222 rows

## Scores on 3,000 held-out rows

| metric | model | baseline |
| --- | --- | --- |
| roc_auc | 0.7000 | 0.5000 |
| log_loss | 0.5000 |  |

## Data

12,000 training rows from 2013-01-01 to 2013-02-28, 2 features: distance, carrier.

Columns that no model saw:

- tailnum: it has 3,000 values

Noted while reading the table:

- 12 rows had no label

## Lineage

| made from |  |
| --- | --- |
| spec | s1 |
| data fingerprint | d1 |
| code revision | c1 |
| parent version | 2 |
"""
    )


def test_a_card_without_times_params_or_notes_says_less() -> None:
    card = model_card(
        replace(FACTS, params={}, ignored=[], notes=[]), replace(LINEAGE, trained_from=None, parent_version=None)
    )
    assert "boosting (defaults)" in card
    assert "12,000 training rows, 2 features" in card
    assert "| parent version | none |" in card
    assert "Noted" not in card
    assert "no model saw" not in card


WILD = st.text(st.sampled_from("a|\\`<[]()!#-*\n\r\t \u2028é") | st.characters(codec="utf-8"), max_size=30)


@given(WILD)
def test_nothing_from_data_breaks_out_of_its_line(wild: str) -> None:
    facts = replace(
        FACTS,
        label=wild,
        candidate=wild,
        choice=wild,
        params={wild: wild},
        features=[wild],
        ignored=[(wild, wild)],
        notes=[wild],
        served_by=wild,
    )
    lines = model_card(facts, LINEAGE).split("\n")
    expected = model_card(FACTS, LINEAGE).split("\n")
    assert len(lines) == len(expected)
    assert "\r" not in "\n".join(lines)
    # What begins a line decides what the line is: a heading, a row, an item.
    assert [line[:2] for line in lines if line[:1] in "#|"] == [line[:2] for line in expected if line[:1] in "#|"]


def test_a_value_of_the_table_is_neither_a_cell_nor_a_tag_nor_a_picture() -> None:
    wild = "x | y <script>alert(1)</script> ![p](https://example.org/p.png) `code`"
    card = model_card(replace(FACTS, notes=[wild]), LINEAGE)
    assert "<script" not in card
    assert "![p](" not in card
    assert r"- x \| y &lt;script>alert(1)&lt;/script> !\[p\](https://example.org/p.png) \`code\`" in card
