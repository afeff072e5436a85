"""What no single key can say: whether the sections of a spec fit each other."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from everfresh.spec.data import GroupedSplit, TimeSplit
from everfresh.spec.faults import Fault
from everfresh.spec.fields import format_duration
from everfresh.spec.metrics import TASK_METRICS, Metric, possible_scores
from everfresh.spec.project import ProjectSpec
from everfresh.spec.promotion import BeatsBaselineGate, BeatsChampionGate, CalibrationGate, SliceGate, ThresholdGate


def contradictions(spec: ProjectSpec) -> tuple[Fault, ...]:
    """Every place where two sections of a spec contradict each other, or ask for what cannot be done."""
    return (
        *_columns(spec),
        *_training(spec),
        *_gates(spec),
        *_targets(spec),
        *_inference_log(spec),
        *_retraining(spec),
    )


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
    window, split = spec.training.window, spec.data.split
    if window is None:
        return
    if spec.data.time_column is None:
        yield Fault("training.window", repr(format_duration(window)), "a window needs data.time_column")
    elif isinstance(split, TimeSplit) and isinstance(split.holdout, timedelta) and split.holdout >= window:
        allowed = f"the holdout is part of training.window ({format_duration(window)}) and shorter"
        yield Fault("data.split.holdout", repr(format_duration(split.holdout)), allowed)


def _gates(spec: ProjectSpec) -> Iterator[Fault]:
    for position, gate in enumerate(spec.promotion.gates or ()):
        path = f"promotion.gates[{position}]"
        if isinstance(gate, ThresholdGate | SliceGate | BeatsBaselineGate | BeatsChampionGate):
            yield from _metric_fits(spec, f"{path}.metric", gate.metric)
        if isinstance(gate, CalibrationGate) and spec.task == "regression":
            yield Fault(f"{path}.kind", "'calibration'", "calibration is for classification")


def _targets(spec: ProjectSpec) -> Iterator[Fault]:
    places: set[tuple[object, ...]] = set()
    for position, target in enumerate(spec.targets):
        path = f"targets[{position}]"
        place = (target.kind, *(getattr(target, key) for key in target.place))
        if place in places:
            last = target.place[-1]
            allowed = f"another {target.kind} target of this spec has the same {' and '.join(target.place)}"
            yield Fault(f"{path}.{last}", str(getattr(target, last)), allowed)
        places.add(place)
        if target.rollout.kind not in target.rollouts:
            allowed = f"a {target.kind} target can do: {', '.join(target.rollouts)}"
            yield Fault(f"{path}.rollout.kind", repr(target.rollout.kind), allowed)


def _inference_log(spec: ProjectSpec) -> Iterator[Fault]:
    data, log = spec.data, spec.inference_log
    needed = {
        data.label: "the label is never in the log: it comes back by id",
        data.time_column: "windows are cut by the time of the rows",
        data.id_column: "labels come back by the id; give rows ids that say nothing about anybody",
    }
    for column in log.redact:
        if column in needed:
            yield Fault(f"inference_log.redact.{column}", repr(log.redact[column]), needed[column])
    waits = data.label_delay + timedelta(days=spec.monitoring.current.days)
    if log.keep < waits:
        allowed = f"a check looks back {format_duration(waits)}: monitoring.current.days and data.label_delay"
        yield Fault("inference_log.keep", repr(format_duration(log.keep)), allowed)


def _retraining(spec: ProjectSpec) -> Iterator[Fault]:
    drop = spec.retraining.when.metric_drop
    lowest, highest = possible_scores(spec.primary_metric)
    if drop is not None and drop >= highest - lowest:
        allowed = f"{spec.primary_metric} lies between {lowest:g} and {highest:g} and cannot drop that far"
        yield Fault("retraining.when.metric_drop", f"{drop:g}", allowed)


def _metric_fits(spec: ProjectSpec, path: str, metric: Metric | None) -> Iterator[Fault]:
    if metric is not None and metric not in TASK_METRICS[spec.task]:
        yield Fault(path, repr(metric), f"for {spec.task} there are {', '.join(TASK_METRICS[spec.task])}")
