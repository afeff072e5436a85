"""What no single key can say: whether the sections of a spec fit each other."""

from __future__ import annotations

from collections.abc import Iterator

from everfresh.spec.data import GroupedSplit, TimeSplit
from everfresh.spec.faults import Fault
from everfresh.spec.metrics import BOUNDED_BY_ONE, TASK_METRICS, Metric
from everfresh.spec.project import ProjectSpec
from everfresh.spec.promotion import BeatsBaselineGate, BeatsChampionGate, CalibrationGate, SliceGate, ThresholdGate


def contradictions(spec: ProjectSpec) -> tuple[Fault, ...]:
    """Every place where two sections of a spec contradict each other, or a limit cannot be met."""
    return (*_columns(spec), *_training(spec), *_gates(spec), *_targets(spec))


def _columns(spec: ProjectSpec) -> Iterator[Fault]:
    data = spec.data
    roles = {"data.label": data.label, "data.time_column": data.time_column, "data.id_column": data.id_column}
    named = [(path, column) for path, column in roles.items() if column is not None]
    for position, (path, column) in enumerate(named):
        if column in {other for _, other in named[:position]}:
            yield Fault(path, repr(column), "the label, the time column and the id column are three different columns")
    split = data.split
    if isinstance(split, TimeSplit) and data.time_column is None:
        yield Fault("data.split.kind", "'time'", "a split by time needs data.time_column")
    if isinstance(split, GroupedSplit) and split.by == data.label:
        yield Fault("data.split.by", repr(split.by), "rows cannot be grouped by their label")


def _training(spec: ProjectSpec) -> Iterator[Fault]:
    yield from _metric_fits(spec, "training.primary_metric", spec.training.primary_metric)
    names = [candidate.name for candidate in spec.training.candidates]
    for position, name in enumerate(names):
        if name in names[:position]:
            yield Fault(f"training.candidates[{position}].name", repr(name), "every candidate has a name of its own")
    if spec.training.window is not None and spec.data.time_column is None:
        yield Fault("training.window", str(spec.training.window), "a window needs data.time_column")


def _gates(spec: ProjectSpec) -> Iterator[Fault]:
    for position, gate in enumerate(spec.promotion.gates or ()):
        path = f"promotion.gates[{position}]"
        if isinstance(gate, ThresholdGate | SliceGate | BeatsBaselineGate | BeatsChampionGate):
            yield from _metric_fits(spec, f"{path}.metric", gate.metric)
        if isinstance(gate, ThresholdGate | SliceGate) and gate.metric in BOUNDED_BY_ONE:
            for side, limit in (("at_least", gate.at_least), ("at_most", gate.at_most)):
                if limit is not None and not 0 <= limit <= 1:
                    yield Fault(f"{path}.{side}", f"{limit:g}", f"{gate.metric} lies between 0 and 1")
        if isinstance(gate, CalibrationGate) and spec.task == "regression":
            yield Fault(f"{path}.kind", "'calibration'", "calibration is for classification")


def _targets(spec: ProjectSpec) -> Iterator[Fault]:
    ports = [target.port for target in spec.targets]
    for position, target in enumerate(spec.targets):
        if target.port in ports[:position]:
            yield Fault(f"targets[{position}].port", str(target.port), "every local target has a port of its own")
        if target.rollout.kind != "all_at_once":
            # Refused rather than done as something else: a rollout that nobody analyses is not a canary.
            yield Fault(
                f"targets[{position}].rollout.kind", repr(target.rollout.kind), "a local target can do: all_at_once"
            )


def _metric_fits(spec: ProjectSpec, path: str, metric: Metric | None) -> Iterator[Fault]:
    if metric is not None and metric not in TASK_METRICS[spec.task]:
        yield Fault(path, repr(metric), f"for {spec.task} there are {', '.join(TASK_METRICS[spec.task])}")
