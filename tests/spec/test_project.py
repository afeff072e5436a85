from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from everfresh.spec.loading import load_spec
from everfresh.spec.project import ProjectSpec

Write = Callable[[str | bytes], Path]


def test_the_hash_does_not_depend_on_how_a_spec_is_written_down(write: Write) -> None:
    one = """\
name: a
task: regression
data:
  source: {kind: csv, path: a.csv}
  label: y
  columns: {x: {dtype: float}, z: {dtype: category}}
training:
  candidates: [{name: r, estimator: sklearn.linear_model.Ridge, params: {alpha: 1.0, solver: lsqr}}]
retraining: {cooldown: 48h}
"""
    other = """\
# The same in other words.
retraining:
  cooldown: 2d    # two days
  at_least_labels: 500
training:
  candidates:
    - estimator: "sklearn.linear_model.Ridge"
      params:
        solver: 'lsqr'
        alpha: 1e0
      name: r
data:
  columns:
    z: {dtype: category}
    x: {nullable: true, dtype: float}
  label: y
  source: {path: a.csv, kind: csv}
task: regression
name: a
"""
    assert load_spec(write(one)).hash == load_spec(write(other)).hash


@pytest.mark.parametrize("change", [
    "training: {seed: 1}", "training: {window: 60d}", "promotion: {gates: []}", "targets: [{kind: local, port: 81}]",
    "monitoring: {drift: {false_alarms: 2 per year}}", "retraining: {when: {older_than: 90d}}", "  id_column: x",
])  # fmt: skip
def test_the_hash_is_another_where_a_spec_says_something_else(write: Write, smallest: str, change: str) -> None:
    assert load_spec(write(smallest)).hash != load_spec(write(f"{smallest}{change}\n")).hash


def test_a_spec_is_the_same_after_a_way_through_json(write: Write, smallest: str) -> None:
    lines = "training: {window: 60d}\nmonitoring: {drift: {false_alarms: 1 per 6 months}}\n"
    spec = load_spec(write(f"{smallest}  split: {{kind: time, holdout: 36h}}\n{lines}"))
    assert ProjectSpec.model_validate_json(spec.model_dump_json()) == spec
    assert ProjectSpec.model_validate(spec.model_dump()) == spec


def test_a_spec_cannot_be_changed(write: Write, smallest: str) -> None:
    spec = load_spec(write(smallest))
    with pytest.raises(ValueError, match="frozen"):
        spec.name = "other"  # type: ignore[misc]


def test_no_gates_and_none_named_are_two_things(write: Write, smallest: str) -> None:
    assert len(load_spec(write(smallest)).gates) == 4
    assert load_spec(write(f"{smallest}promotion: {{gates: []}}\n")).gates == ()
