"""Whole projects, small and real: a table with what tables have, a spec beside it, and a life in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import yaml

from everfresh.data.frames import model_frame
from everfresh.data.inference_log import ANSWER_PREFIX, FEATURE_PREFIX, VALUE, log_schema, write_labels, write_rows
from everfresh.evaluation.verdict import Verdict
from everfresh.loop.challenger import make_challenger
from everfresh.loop.judgement import judge, record
from everfresh.loop.rows import learning_rows
from everfresh.loop.search import orders, search_one
from everfresh.loop.workspace import Workspace
from everfresh.packaging.batch import batch_of
from everfresh.packaging.scorer import open_scorer
from everfresh.registry.store import Registry
from everfresh.registry.versions import ModelVersion
from everfresh.settings import Settings
from everfresh.spec.loading import load_project
from everfresh.targets.protocol import Target
from everfresh.testing.targets import InMemoryTarget

START = datetime(2013, 1, 1, tzinfo=UTC)
"""When the table of `rides` begins."""

LABELS = {"late": "classification", "how": "classification", "minutes": "regression"}
"""What can be predicted of a ride: two classes, three classes, a number."""


def day(number: float) -> datetime:
    """That many days after the table's first."""
    return START + timedelta(days=number)


def rides(days: int = 60, per_day: int = 40, *, seed: int = 0, longer_from: int | None = None) -> pd.DataFrame:
    """Rides with an id, a time, four features of which three have gaps, and each of the labels.

    Args:
        days: from `START` on.
        per_day: how many rides a day has.
        seed: another seed, other rides.
        longer_from: the day from which on rides are twice as long; never if None.
    """
    random = np.random.default_rng(seed)
    rows = days * per_day
    offset = np.sort(random.random(rows)) * days
    distance = random.normal(900.0, 300.0, rows).round(1)
    if longer_from is not None:
        distance = np.where(offset >= longer_from, 2 * distance, distance)
    stops, weekend = random.integers(0, 4, rows), random.random(rows) < 0.3
    carrier = random.choice(["AA", "B6", "UA"], rows)
    minutes = distance / 8 + 20 * stops + 15 * weekend + 10 * (carrier == "B6") + random.normal(0, 12, rows)
    table = pd.DataFrame(
        {
            "ride": [f"r{seed}-{number}" for number in range(rows)],
            "at": pd.Timestamp(START) + pd.to_timedelta((offset * 86_400).round(), unit="s"),
            "distance": distance,
            "stops": pd.array(stops, dtype="Int64"),
            "weekend": weekend,
            "carrier": carrier,
            "late": np.where(minutes > 150, "yes", "no"),
            "how": np.select([minutes > 175, minutes < 125], ["late", "early"], "on time"),
            "minutes": minutes.round(2),
        }
    )
    gaps = random.random((rows, 3)) < 0.04
    for position, name in enumerate(("distance", "stops", "carrier")):
        table[name] = table[name].mask(gaps[:, position])
    return table


def write_project(
    projects: Path, table: pd.DataFrame, *, name: str = "rides", label: str = "late", **sections: Mapping[str, Any]
) -> Path:
    """A table and its spec in a folder; the spec's file. One fast candidate, gates that the rides' models pass.

    Args:
        projects: the folder.
        table: as `rides` makes it.
        name: of the project and its files.
        label: what is predicted; the other labels are no features.
        sections: keys that are added to the spec's sections, or take the place of what is there.
    """
    projects.mkdir(parents=True, exist_ok=True)
    table.to_csv(projects / f"{name}.csv", index=False)
    task = LABELS.get(label, "classification")
    others = {other: {"dtype": "ignore"} for other in LABELS if other != label and other in table.columns}
    spec: dict[str, Any] = {
        "name": name,
        "task": task,
        "data": {
            "source": {"kind": "csv", "path": f"{name}.csv"},
            "label": label,
            "label_delay": "1d",
            "time_column": "at",
            "id_column": "ride",
            "columns": others,
            "split": {"kind": "time", "holdout": "7d"},
        },
        "training": {"candidates": [_candidate(task)]},
        "promotion": {"gates": [_worse_by_little(task), {"kind": "parity", "at_most": 1e-6}]},
        "monitoring": {"schedule": "0 0 * * *", "drift": {"false_alarms": "1 per year", "min_effect": 0.3}},
        "retraining": {"cooldown": "3d", "at_least_labels": 50},
    }
    for section, keys in sections.items():
        spec[section] = {**spec.get(section, {}), **keys} if isinstance(keys, Mapping) else keys
    file = projects / f"{name}.yaml"
    file.write_text(yaml.safe_dump(spec, sort_keys=False), encoding="utf-8")
    return file


def open_in_memory(file: Path, settings: Settings, *targets: Target) -> Workspace:
    """The workspace of a spec, on targets of this process instead of those that the spec names."""
    served = targets or (InMemoryTarget(inference_root=settings.home / "inference"),)
    return Workspace(load_project(str(file), settings.projects), settings, Registry(settings), served)


def train(workspace: Workspace, as_of: datetime | None = None) -> tuple[ModelVersion, Verdict]:
    """A version made from what is known at `as_of`, judged and recorded, as the flow does it."""
    rows = learning_rows(workspace.project, workspace.settings, as_of)
    trials = [trial for order in orders(workspace, rows) for trial in search_one(order)]
    version = make_challenger(workspace, rows, trials)
    verdict = judge(workspace, rows, version)
    return record(workspace, version, verdict), verdict


def serve(workspace: Workspace, table: pd.DataFrame, version: ModelVersion) -> pd.DataFrame:
    """Let `version` answer the rides, and log them as the inference server does; gives the rides back."""
    manifest = workspace.bundle(version).manifest
    frame = model_frame(table, manifest.columns)
    answer = open_scorer(workspace.bundle(version)).score(batch_of(frame, manifest.columns))
    moments = table["at"].dt.tz_convert(None).to_numpy()
    given = {f"{ANSWER_PREFIX}{name}": answer[:, column] for column, name in enumerate(manifest.classes)}
    log = {
        "id": table["ride"],
        "time": moments,
        "received": moments,
        "model": [workspace.name] * len(table),
        "version": [version.version] * len(table),
        "variant": ["default"] * len(table),
        "request_id": table["ride"],
        "latency_s": [0.001] * len(table),
        **{f"{FEATURE_PREFIX}{name}": frame[name] for name in frame.columns},
        **(given or {VALUE: answer}),
    }
    schema = log_schema(manifest.columns, manifest.classes)
    columns = [pa.array(log[field.name], field.type, from_pandas=True) for field in schema]
    write_rows(workspace.targets[0].inference_root, workspace.name, pa.table(columns, schema=schema))
    return table


def send_labels(
    workspace: Workspace, table: pd.DataFrame, received: datetime, labels: Sequence[object] | None = None
) -> None:
    """Send the rides' labels back, or other ones in their place."""
    truth = table[workspace.spec.data.label].tolist() if labels is None else list(labels)
    write_labels(workspace.targets[0].inference_root, workspace.name, table["ride"].tolist(), truth, received)


def _candidate(task: str) -> dict[str, Any]:
    if task == "regression":
        return {"name": "ridge", "estimator": "sklearn.linear_model.Ridge"}
    return {"name": "logistic", "estimator": "sklearn.linear_model.LogisticRegression", "params": {"C": [0.1, 1.0]}}


def _worse_by_little(task: str) -> dict[str, Any]:
    metric, margin = ("rmse", -5.0) if task == "regression" else ("log_loss", -0.2)
    return {"kind": "beats_champion", "metric": metric, "margin": margin}
