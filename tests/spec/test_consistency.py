from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import pytest

from everfresh.spec.faults import Fault
from everfresh.spec.targets import LocalTargetSpec, RolloutKind, TargetSpec

Faults = Callable[[str | bytes], tuple[Fault, ...]]

CLASSIFICATION = "roc_auc, log_loss, brier, accuracy, balanced_accuracy, f1, precision, recall, average_precision"


@pytest.mark.parametrize(("lines", "line", "path", "read", "allowed"), [
    ("  id_column: delayed", 7, "data.id_column", "'delayed'",
     "the label, the time column and the id column are three different columns"),
    ("  split: {kind: grouped, by: delayed}", 7, "data.split.by", "'delayed'", "rows cannot be grouped by their label"),
    ("training: {primary_metric: rmse}", 7, "training.primary_metric", "'rmse'",
     f"for classification there are {CLASSIFICATION}"),
    ("training:\n  candidates:\n    - {name: a, estimator: a.B}\n    - {name: a, estimator: a.C}", 10,
     "training.candidates[1].name", "'a'", "every candidate has a name of its own"),
    ("  split: {kind: time, holdout: 2w}\ntraining: {window: 14d}", 7, "data.split.holdout", "'14d'",
     "the holdout is part of training.window (14d) and shorter"),
    ("promotion:\n  gates:\n    - kind: threshold\n      metric: mae\n      at_most: 3", 10,
     "promotion.gates[0].metric", "'mae'", f"for classification there are {CLASSIFICATION}"),
    ("targets:\n  - {kind: local}\n  - {kind: local}", 9, "targets[1].port", "8080",
     "another local target of this spec has the same port"),
    ("targets: [{kind: local, rollout: {kind: shadow}}]", 7, "targets[0].rollout.kind", "'shadow'",
     "a local target can do: all_at_once"),
    ("training: {primary_metric: roc_auc}\nretraining: {when: {metric_drop: 1}}", 8, "retraining.when.metric_drop", "1",
     "roc_auc lies between 0 and 1 and cannot drop that far"),
])  # fmt: skip
def test_sections_that_contradict_each_other_are_refused(
    faults: Faults, smallest: str, lines: str, line: int, path: str, read: str, allowed: str
) -> None:
    assert faults(f"{smallest}{lines}\n") == (Fault(path, read, allowed, line),)


def test_time_is_not_asked_of_a_table_without_times(faults: Faults, smallest: str) -> None:
    timeless = smallest.replace("  time_column: scheduled_at\n", "  split: {kind: time}\n")
    assert faults(f"{timeless}training: {{window: 60d}}\n") == (
        Fault("data.split.kind", "'time'", "a split by time needs data.time_column", 6),
        Fault("training.window", "'60d'", "a window needs data.time_column", 7),
    )


def test_a_regression_is_not_judged_as_a_classification_is(faults: Faults, smallest: str) -> None:
    gates = "promotion: {gates: [{kind: calibration, at_most: 0.1}, {kind: beats_baseline, metric: log_loss}]}"
    found = faults(f"{smallest.replace('classification', 'regression')}{gates}\n")
    assert found == (
        Fault("promotion.gates[0].kind", "'calibration'", "calibration is for classification", 7),
        Fault("promotion.gates[1].metric", "'log_loss'", "for regression there are rmse, mae, r2", 7),
    )


def test_two_targets_of_one_kind_may_be_at_two_places(faults: Faults, smallest: str) -> None:
    assert faults(f"{smallest}targets: [{{kind: local}}, {{kind: local, port: 8081}}]\n") == ()


@pytest.mark.parametrize("target", get_args(TargetSpec) or (LocalTargetSpec,))
def test_every_target_says_what_it_can_do_and_where_it_is(target: type[LocalTargetSpec]) -> None:
    keys = target.model_fields
    assert target.rollouts
    assert set(target.rollouts) <= set(get_args(RolloutKind))
    assert {"kind", "rollout", *target.place} <= keys.keys()
    assert keys["rollout"].default.kind in target.rollouts
