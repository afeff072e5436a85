from __future__ import annotations

from collections.abc import Callable

import pytest

from everfresh.spec.faults import Fault

Faults = Callable[[str | bytes], tuple[Fault, ...]]


@pytest.mark.parametrize(("line", "path", "allowed"), [
    ("monitorin: {}", "monitorin", "did you mean 'monitoring'?"),
    ("label_delay: 1d", "label_delay", "did you mean data.label_delay?"),
    (
        "zzz: 1",
        "zzz",
        "allowed are name, task, data, training, promotion, targets, inference_log, monitoring, retraining",
    ),
    ("training: {candidats: []}", "training.candidats", "did you mean 'candidates'?"),
    ("retraining: {when: {drfit: true}}", "retraining.when.drfit", "did you mean 'drift'?"),
    ("targets: [{kind: local, prot: 1}]", "targets[0].prot", "did you mean 'port'?"),
    ("promotion: {gates: [{kind: calibration, at_most: 0.1, at_mots: 1}]}", "promotion.gates[0].at_mots",
     "did you mean 'at_most'?"),
    ("targets: [{kind: local, rollout: {kind: canary, stebs: [100]}}]", "targets[0].rollout.stebs",
     "did you mean 'steps'?"),
    ("training: {candidates: [{name: a, estimator: a.B, params: {C: {low: 1, high: 2, logg: true}}}]}",
     "training.candidates[0].params.C.logg", "did you mean 'log'?"),
    ("  columns: {a: {dtype: float, mim: 1}}", "data.columns.a.mim", "did you mean 'min'?"),
])  # fmt: skip
def test_an_unknown_key_is_answered_with_the_one_that_was_meant(
    faults: Faults, smallest: str, line: str, path: str, allowed: str
) -> None:
    key = path.rpartition(".")[2]
    assert faults(f"{smallest}{line}\n") == (Fault(path, f"the unknown key {key!r}", allowed, 7),)


@pytest.mark.parametrize(("line", "path", "read", "allowed"), [
    ("targets: [{kind: local, rollout: {kind: canry}}]", "targets[0].rollout.kind", "'canry'",
     "did you mean 'canary'? kind is one of all_at_once, blue_green, canary, shadow"),
    ("targets: [{kind: lokal}]", "targets[0].kind", "'lokal'", "did you mean 'local'? allowed are local"),
    ("targets: [{port: 1}]", "targets[0].kind", "nothing", "this key is required"),
    ("promotion: {gates: [{metric: roc_auc}]}", "promotion.gates[0].kind", "nothing", "this section needs a kind"),
    ("promotion: {approval: maybe}", "promotion.approval", "'maybe'", "allowed are automatic, required"),
    ("training: {primary_metric: auc}", "training.primary_metric", "'auc'",
     "did you mean 'roc_auc'? allowed are roc_auc, log_loss, brier, accuracy, balanced_accuracy, f1, precision, "
     "recall, average_precision, rmse, mae, r2"),
    ("training:", "training", "nothing", "a mapping of keys"),
    ("training: [1]", "training", "[1]", "a mapping of keys"),
    ("targets: local", "targets", "'local'", "a list"),
    ("targets: []", "targets", "[]", "a list with at least one item"),
    ("targets: [{kind: local, port: 70000}]", "targets[0].port", "70000", "at most 65,535"),
    ("targets: [{kind: local, port: 0}]", "targets[0].port", "0", "at least 1"),
    ("targets: [{kind: local, port: true}]", "targets[0].port", "true", "a whole number"),
    ("targets: [{kind: local, port: '80'}]", "targets[0].port", "'80'", "a whole number"),
    ("training: {seed: 1.0}", "training.seed", "1.0", "a whole number"),
    ("training: {seed: -1}", "training.seed", "-1", "at least 0"),
    ("training: {seed: 4294967296}", "training.seed", "4294967296", "at most 4,294,967,295"),
    ("training: {search: {trials: 0}}", "training.search.trials", "0", "at least 1"),
    ("training: {search: {parallel: spark}}", "training.search.parallel", "'spark'", "allowed are threads, dask, ray"),
    ("retraining: {when: {drift: yes}}", "retraining.when.drift", "'yes'", "true or false"),
    ("retraining: {when: {drift: 1}}", "retraining.when.drift", "1", "true or false"),
    ("retraining: {when: {metric_drop: 0}}", "retraining.when.metric_drop", "0", "more than 0"),
    ("retraining: {when: {metric_drop: .nan}}", "retraining.when.metric_drop", "nan", "a number"),
    ("monitoring: {drift: {min_effect: .inf}}", "monitoring.drift.min_effect", "inf", "a number"),
    ("monitoring: {drift: {min_effect: true}}", "monitoring.drift.min_effect", "true", "a number"),
    ("monitoring: {drift: {min_effect: 1}}", "monitoring.drift.min_effect", "1", "less than 1"),
    ("monitoring: {current: {kind: last, days: 0}}", "monitoring.current.days", "0", "at least 1"),
    ("monitoring: {schedule: 5}", "monitoring.schedule", "5",
     'a schedule is a cron line of five fields in quotes, as in "0 3 * * 0"'),
    ('monitoring: {schedule: "61 * * * *"}', "monitoring.schedule", "'61 * * * *'",
     "'61' in the schedule is not between 0 and 59"),
    ("retraining: {cooldown: 3}", "retraining.cooldown", "3",
     "a duration is a whole number and a unit (s, m, h, d, w), as in 14d"),
    ("retraining: {when: {older_than: 0d}}", "retraining.when.older_than", "'0d'", "a duration above 0, as in 14d"),
    ("training: {window: 0s}", "training.window", "'0s'", "a duration above 0, as in 14d"),
    ("training: {window: 99999w}", "training.window", "'99999w'", "a duration is at most 36500d"),
    ("  split: {kind: time, holdout: 0h}", "data.split.holdout", "'0h'", "a duration above 0, as in 14d"),
    ("  split: {kind: time, holdout: 1}", "data.split.holdout", "1",
     "a duration as in 14d, or a share of the rows between 0 and 1"),
    ("  split: {kind: random, holdout: 0.0}", "data.split.holdout", "0.0", "more than 0"),
    ("  id_column: ''", "data.id_column", "''", "text that is not empty"),
    ("  id_column: 3", "data.id_column", "3", "text"),
    ("  columns: {a: {dtype: float, min: 2, max: 1}}", "data.columns.a", "{dtype: 'float', min: 2, max: 1}",
     "min 2 is above max 1"),
    ("  columns: {a: {dtype: category, max: 1}}", "data.columns.a", "{dtype: 'category', max: 1}",
     "min and max are for numbers, not for dtype category"),
    ("  columns: {a: {dtype: float, values: [x]}}", "data.columns.a", "{dtype: 'float', values: ['x']}",
     "values are for dtype category, not for dtype float"),
    ("  columns: {a: {dtype: category, values: []}}", "data.columns.a.values", "[]", "a list with at least one item"),
    ("  columns: {a: {dtype: category, values: [1]}}", "data.columns.a.values[0]", "1", "text"),
    ("promotion: {gates: [{kind: threshold, metric: roc_auc, at_least: 1.5}]}", "promotion.gates[0].at_least", "1.5",
     "roc_auc lies between 0 and 1"),
    ("promotion: {gates: [{kind: slice, by: a, metric: log_loss, at_most: -0.1}]}", "promotion.gates[0].at_most",
     "-0.1", "log_loss lies at or above 0"),
    ("promotion: {gates: [{kind: threshold, metric: r2, at_least: 1.1}]}", "promotion.gates[0].at_least", "1.1",
     "r2 lies at or below 1"),
    ("promotion: {gates: [{kind: beats_champion, metric: brier, margin: 1}]}", "promotion.gates[0].margin", "1",
     "brier lies between 0 and 1: nothing is better by more than 1"),
    ("promotion: {gates: [{kind: threshold, metric: f1}]}", "promotion.gates[0]", "{kind: 'threshold', metric: 'f1'}",
     "give at_least or at_most, exactly one of them"),
    ("promotion: {gates: [{kind: threshold, metric: f1, at_least: 0, at_most: 1}]}", "promotion.gates[0]",
     "{kind: 'threshold', metric: 'f1', at_least: 0, at_most: 1}", "give at_least or at_most, exactly one of them"),
    ("promotion: {gates: [{kind: servable, p99_ms: 0}]}", "promotion.gates[0].p99_ms", "0", "more than 0"),
    ("promotion: {gates: [{kind: parity, at_most: -1}]}", "promotion.gates[0].at_most", "-1", "at least 0"),
    ("promotion: {gates: [{kind: calibration, at_most: 1}]}", "promotion.gates[0].at_most", "1", "less than 1"),
    ("promotion: {gates: [{kind: beats_champion, metric: f1, confidence: 95}]}", "promotion.gates[0].confidence", "95",
     "less than 1"),
    ("targets: [{kind: local, rollout: {kind: canary, steps: [25, 5, 100]}}]", "targets[0].rollout.steps",
     "[25, 5, 100]", "steps grow and end with 100, as in [5, 25, 100]"),
    ("targets: [{kind: local, rollout: {kind: canary, steps: [5, 5, 100]}}]", "targets[0].rollout.steps",
     "[5, 5, 100]", "steps grow and end with 100, as in [5, 25, 100]"),
    ("targets: [{kind: local, rollout: {kind: canary, steps: []}}]", "targets[0].rollout.steps",
     "[]", "steps grow and end with 100, as in [5, 25, 100]"),
    ("targets: [{kind: local, rollout: {kind: canary, steps: [0, 100]}}]", "targets[0].rollout.steps[0]", "0",
     "more than 0"),
])  # fmt: skip
def test_a_fault_says_where_it_is_what_was_read_and_what_is_allowed(
    faults: Faults, smallest: str, line: str, path: str, read: str, allowed: str
) -> None:
    assert faults(f"{smallest}{line}\n") == (Fault(path, read, allowed, 7),)


@pytest.mark.parametrize(("params", "path", "read", "allowed"), [
    ("{C: .inf}", "C", "inf",
     "a finite number; for others write a function that returns the estimator, as module:function"),
    ("{C: [1, .nan]}", "C[1]", "nan",
     "a finite number; for others write a function that returns the estimator, as module:function"),
    ("{C: [[1]]}", "C[0]", "[1]", "a number, text, true, false or null"),
    ("{C: {low: 1, high: 1}}", "C", "{low: 1, high: 1}", "low 1 is not below high 1"),
    ("{C: {low: 0, high: 1, log: true}}", "C", "{low: 0, high: 1, log: true}", "a log range starts above 0, not at 0"),
    ("{C: {low: 0, high: .inf}}", "C.high", "inf", "a number"),
    ("{C: {low: true, high: 2}}", "C.low", "true", "a number"),
    ("{C: {high: 2}}", "C.low", "nothing", "this key is required"),
])  # fmt: skip
def test_a_parameter_that_cannot_be_tried_is_one_fault(
    faults: Faults, smallest: str, params: str, path: str, read: str, allowed: str
) -> None:
    line = f"training: {{candidates: [{{name: a, estimator: a.B, params: {params}}}]}}"
    assert faults(f"{smallest}{line}\n") == (Fault(f"training.candidates[0].params.{path}", read, allowed, 7),)


@pytest.mark.parametrize(("name", "allowed"), [
    ("Flights", "a name has lower-case letters, digits and hyphens, at most 63, as in flight-delays"),
    ("''", "a name has lower-case letters, digits and hyphens, at most 63, as in flight-delays"),
    ("a" * 64, "a name has lower-case letters, digits and hyphens, at most 63, as in flight-delays"),
    ("../etc", "a name has lower-case letters, digits and hyphens, at most 63, as in flight-delays"),
    ("2013", "text"),
])  # fmt: skip
def test_a_name_fits_a_url_a_file_and_a_cloud(faults: Faults, smallest: str, name: str, allowed: str) -> None:
    (fault,) = faults(smallest.replace("flight-delays", name))
    assert (fault.path, fault.line, fault.allowed) == ("name", 1, allowed)


def test_an_import_path_is_no_sentence_of_python(faults: Faults, smallest: str) -> None:
    line = 'training: {candidates: [{name: a, estimator: \'__import__("os").system("ls")\'}]}'
    (fault,) = faults(f"{smallest}{line}\n")
    assert fault.allowed == "an import path, as in sklearn.linear_model.Ridge or module:function"


def test_a_long_value_is_cut(faults: Faults, smallest: str) -> None:
    (fault,) = faults(f"{smallest}targets: {'x' * 500}\n")
    assert (len(fault.read), fault.read[-3:]) == (60, "...")


def test_a_label_delay_of_nothing_is_fine_and_so_is_no_cooldown(faults: Faults, smallest: str) -> None:
    assert faults(f"{smallest}  label_delay: 0d\nretraining: {{cooldown: 0s}}\n") == ()
