"""Batch scoring: a table in, a Parquet file of answers out, whole or not at all."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from everfresh.data.columns import plain_text
from everfresh.data.frames import model_frame
from everfresh.data.inference_log import ANSWER_PREFIX, VALUE
from everfresh.data.sources import read_source, source_name
from everfresh.errors import EmptyTable
from everfresh.loop.workspace import Workspace
from everfresh.packaging.batch import batch_of
from everfresh.packaging.bundle import Bundle
from everfresh.packaging.scorer import open_scorer
from everfresh.registry.versions import ModelVersion
from everfresh.spec.data import CsvSource, ParquetSource, Source

CHUNK_ROWS = 50_000


@dataclass(frozen=True)
class Scored:
    """Where the answers are, how many, and by which version."""

    file: Path
    rows: int
    version: int


def score_table(
    workspace: Workspace, champion: ModelVersion, table: str | None = None, output: Path | None = None
) -> Scored:
    """The champion's answers to a table: its own source, or the CSV or Parquet file or glob at `table`.

    The file holds the id column where the spec names one, `p.<class>` or `value`, and for a classification the most
    probable class as `label`.

    Raises:
        DataError: the table cannot be read, or lacks a feature.
    """
    bundle = workspace.bundle(champion)
    frame = _read(workspace, bundle, _source(table) or workspace.spec.data.source)
    file = output or workspace.settings.reports / workspace.name / f"scores-v{champion.version}.parquet"
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{file.name}.tmp")
    try:
        pq.write_table(_answers(bundle, frame, champion.version), temporary)
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)
    return Scored(file, len(frame), champion.version)


def _read(workspace: Workspace, bundle: Bundle, source: Source) -> pd.DataFrame:
    """The table, with codes as they were trained on: what looks like a 7 in this file may be a 007 in another."""
    manifest, settings = bundle.manifest, workspace.settings
    codes = [column.name for column in manifest.columns if column.is_category]
    frame = read_source(
        source,
        directory=workspace.project.directory,
        allowed=settings.allowed_imports,
        environment={**os.environ, "EVERFRESH_ROOT": str(settings.root)},
        texts=[*codes, manifest.id_column] if manifest.id_column else codes,
    )
    if frame.empty:
        raise EmptyTable(source_name(source))
    return frame


def _source(table: str | None) -> Source | None:
    if table is None:
        return None
    if table.endswith((".parquet", ".pq")):
        return ParquetSource(kind="parquet", path=table)
    return CsvSource(kind="csv", path=table)


def _answers(bundle: Bundle, frame: pd.DataFrame, version: int) -> pa.Table:
    manifest, scorer = bundle.manifest, open_scorer(bundle)
    features = model_frame(frame, manifest.columns)
    parts = [
        scorer.score(batch_of(features.iloc[start : start + CHUNK_ROWS], manifest.columns))
        for start in range(0, len(features), CHUNK_ROWS)
    ]
    scored: dict[str, pa.Array] = {}
    if manifest.id_column in frame.columns:
        scored[str(manifest.id_column)] = _ids(frame[manifest.id_column])
    for position, name in enumerate(manifest.classes):
        values = [part[:, position] for part in parts]
        scored[f"{ANSWER_PREFIX}{name}"] = pa.concat_arrays([pa.array(each) for each in values])
    if manifest.classes:
        labels = [manifest.classes[code] for part in parts for code in part.argmax(axis=1)]
        scored["label"] = pa.array(labels, pa.string())
    else:
        scored[VALUE] = pa.concat_arrays([pa.array(part) for part in parts])
    scored["version"] = pa.array([version] * len(frame), pa.int64())
    return pa.table(scored)


def _ids(values: pd.Series) -> pa.Array:
    """The ids as they came; as the inference log writes them where they are of several kinds."""
    try:
        return pa.array(values, from_pandas=True)
    except pa.ArrowException:
        return pa.array(map(plain_text, values), pa.string())
