from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from everfresh.errors import InvalidSpec, SpecNotFound
from everfresh.spec.data import ColumnSpec, ParquetSource, TimeSplit
from everfresh.spec.faults import Fault
from everfresh.spec.loading import find_project, load_project, load_spec
from everfresh.spec.promotion import ServableGate
from everfresh.spec.targets import AllAtOnce

Write = Callable[[str | bytes], Path]
Faults = Callable[[str | bytes], tuple[Fault, ...]]

PROJECTS = Path("projects")

EVERY_SECTION = """\
name: flight-delays
task: classification                # classification (binary, multiclass) | regression
data:
  source: {kind: parquet, path: data/flights/*.parquet}
  label: delayed
  label_delay: 1d
  time_column: scheduled_at
  id_column: flight_id
  columns: {distance: {dtype: float, min: 0}, carrier: {dtype: category}}
  split: {kind: time, holdout: 14d}
training:
  primary_metric: roc_auc
  window: 60d
  candidates:
    - {name: logistic, estimator: sklearn.linear_model.LogisticRegression, params: {C: [0.1, 1, 10]}}
    - {name: boosting, estimator: sklearn.ensemble.HistGradientBoostingClassifier}
  search: {trials: 20, parallel: threads}
promotion:
  approval: automatic
  gates:
    - {kind: threshold,   metric: roc_auc, at_least: 0.62}
    - {kind: beats_champion, metric: log_loss, margin: 0.0, confidence: 0.95}
    - {kind: beats_baseline, metric: log_loss}
    - {kind: slice,       by: carrier, metric: roc_auc, at_least: 0.55}
    - {kind: calibration, at_most: 0.05}
    - {kind: parity,      at_most: 1e-6}
    - {kind: servable,    p99_ms: 50}
targets:
  - {kind: local, port: 8080, rollout: {kind: all_at_once}}
monitoring:
  schedule: "0 * * * *"
  reference: {kind: training}
  current: {kind: last, days: 7}
  drift: {false_alarms: 1 per year, min_effect: 0.1}
retraining:
  when: {drift: true, metric_drop: 0.03, older_than: 60d, schedule: "0 3 * * 0"}
  cooldown: 3d
  at_least_labels: 2000
"""
CANARY = EVERY_SECTION.replace("{kind: all_at_once}", "{kind: canary, steps: [5, 25, 100]}")


def test_every_section_says_what_the_file_says(write: Write) -> None:
    spec = load_spec(write(EVERY_SECTION))
    assert spec.data.source == ParquetSource(kind="parquet", path="data/flights/*.parquet")
    assert spec.data.label_delay == timedelta(days=1)
    assert spec.data.columns["distance"] == ColumnSpec(dtype="float", min=0)
    assert spec.data.split == TimeSplit(kind="time", holdout=timedelta(days=14))
    assert spec.training.window == timedelta(days=60)
    assert spec.training.candidates[0].params == {"C": (0.1, 1, 10)}
    assert (spec.training.search.trials, spec.training.search.parallel) == (20, "threads")
    assert [gate.kind for gate in spec.gates] == [
        "threshold", "beats_champion", "beats_baseline", "slice", "calibration", "parity", "servable",
    ]  # fmt: skip
    assert spec.gates[5].model_dump() == {"kind": "parity", "at_most": 1e-6}
    assert spec.gates[6] == ServableGate(kind="servable", p99_ms=50)
    assert spec.targets[0].rollout == AllAtOnce(kind="all_at_once")
    assert (spec.monitoring.schedule, spec.monitoring.current.days) == ("0 * * * *", 7)
    assert (spec.monitoring.drift.false_alarms, spec.monitoring.drift.min_effect) == (1.0, 0.1)
    assert (spec.retraining.when.drift, spec.retraining.when.metric_drop) == (True, 0.03)
    assert (spec.retraining.when.older_than, spec.retraining.when.schedule) == (timedelta(days=60), "0 3 * * 0")
    assert (spec.retraining.cooldown, spec.retraining.at_least_labels) == (timedelta(days=3), 2000)


def test_a_rollout_that_a_local_target_cannot_do_is_all_that_is_refused(faults: Faults) -> None:
    assert faults(CANARY) == (
        Fault("targets[0].rollout.kind", "'canary'", "a local target can do: all_at_once", line=29),
    )


def test_the_smallest_spec_is_enough(write: Write, smallest: str) -> None:
    spec = load_spec(write(smallest))
    assert [candidate.name for candidate in spec.candidates] == ["logistic", "boosting"]
    assert [gate.kind for gate in spec.gates] == ["beats_baseline", "beats_champion", "parity", "servable"]
    assert spec.data.effective_split == TimeSplit(kind="time", holdout=0.2)


def test_all_faults_come_at_once_in_the_order_of_the_file(write: Write) -> None:
    file = write("nam: flights\ntask: clasification\ndata:\n  source: {kind: csv}\n  label: [a]\ntargets: {}\n")
    with pytest.raises(InvalidSpec) as caught:
        load_spec(file)
    assert str(caught.value).splitlines() == [
        f"{file} has 6 faults:",
        "  line 1, name: read nothing; this key is required",
        "  line 1, nam: read the unknown key 'nam'; did you mean 'name'?",
        "  line 2, task: read 'clasification'; did you mean 'classification'? allowed are classification, regression",
        "  line 4, data.source.path: read nothing; this key is required",
        "  line 5, data.label: read ['a']; text",
        "  line 6, targets: read {}; a list",
    ]


def test_a_spec_is_found_by_its_name_in_the_folder(tmp_path: Path, smallest: str) -> None:
    file = tmp_path / "flights.yaml"
    file.write_text(smallest)
    assert find_project("flights", tmp_path) == file
    assert find_project("flight-delays", tmp_path) == file
    assert find_project(str(file), tmp_path / "elsewhere") == file


def test_a_broken_neighbour_does_not_hide_a_spec(tmp_path: Path, smallest: str) -> None:
    (tmp_path / "a.yaml").write_bytes(b"\xff: [")
    (tmp_path / "b.yml").write_text("name: [flight-delays]\n")
    (tmp_path / "c.yml").write_text(smallest)
    assert load_project("flight-delays", tmp_path).file == tmp_path / "c.yml"


def test_a_name_that_is_not_there_is_answered_with_what_is(tmp_path: Path, smallest: str) -> None:
    (tmp_path / "flights.yaml").write_text(smallest)
    (tmp_path / "broken.yaml").write_text("- a\n")
    with pytest.raises(SpecNotFound) as caught:
        find_project("flight-delay", tmp_path)
    assert str(caught.value) == (
        "No spec 'flight-delay'. Did you mean 'flight-delays'? There are: broken, flight-delays."
    )


def test_an_empty_folder_says_where_to_start(tmp_path: Path) -> None:
    with pytest.raises(SpecNotFound, match=r"There is none yet: copy projects/flights\.minimal\.yaml"):
        find_project("flights", tmp_path)


def test_a_file_that_may_not_be_opened_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(InvalidSpec, match="it cannot be opened: Is a directory"):
        load_spec(tmp_path)


def test_the_shipped_specs_are_read() -> None:
    files = sorted(PROJECTS.glob("*.yaml"))
    assert [load_project(file.stem, PROJECTS).file for file in files] == [file.resolve() for file in files]
    assert len(files) >= 1


def test_a_project_knows_its_name_and_folder(tmp_path: Path, smallest: str) -> None:
    (tmp_path / "x.yaml").write_text(smallest)
    project = load_project("x", tmp_path)
    assert (project.name, project.directory) == ("flight-delays", tmp_path)


def test_reading_a_spec_takes_no_time(tmp_path: Path) -> None:
    (tmp_path / "flights.yaml").write_text(EVERY_SECTION)
    load_project("flights", tmp_path)
    started = time.perf_counter()
    load_project("flights", tmp_path)
    assert time.perf_counter() - started < 0.05


def test_reading_a_spec_needs_no_numbers_and_no_tables() -> None:
    heavy = ("numpy", "pandas", "sklearn", "mlflow", "prefect")
    code = f"import sys, everfresh.spec.loading; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
