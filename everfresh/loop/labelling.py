"""Labels from a table: joined with what was served, and written as if they had come over the API."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from everfresh.data.columns import plain_text
from everfresh.data.frames import category_values, numbers
from everfresh.data.inference_log import read_labels, read_log, write_labels
from everfresh.data.sources import read_source
from everfresh.data.times import utc_times
from everfresh.errors import MissingColumn
from everfresh.loop.watch import inference_root
from everfresh.loop.workspace import Workspace
from everfresh.spec.data import CsvSource, ParquetSource, Source

CHUNK_ROWS = 100_000
ID, LABEL, TIME = "id", "label", "time"


@dataclass(frozen=True)
class LabelsBrought:
    """What became of the rows of a table of labels.

    Attributes:
        accepted: labels that were written; the contradicting ones are among them.
        unknown: labels of ids that are not in the inference log; not written, for their rows may still come.
        repeated: labels that were there already, or are twice in the table.
        contradicted: labels that differ from the one that was there; the newest counts.
        missing: rows without an id or without a label.
    """

    accepted: int
    unknown: int
    repeated: int
    contradicted: int
    missing: int

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)

    def __str__(self) -> str:
        """One line.

        >>> print(LabelsBrought(5, 2, 0, 1, 0))
        5 labels accepted, 1 of them against an earlier one; 2 of ids that were never served
        """
        counts = (
            (self.contradicted, f", {self.contradicted:,} of them against an earlier one"),
            (self.unknown, f"; {self.unknown:,} of ids that were never served"),
            (self.repeated, f"; {self.repeated:,} were there already"),
            (self.missing, f"; {self.missing:,} rows without id or label"),
        )
        return f"{self.accepted:,} labels accepted" + "".join(text for count, text in counts if count)


def bring_labels(workspace: Workspace, table: str, now: datetime) -> LabelsBrought:
    """Write the labels in a CSV or Parquet file or glob that are new; doing it twice changes nothing.

    The table has the project's id and label columns, or `id` and `label`; and it may say under `time` when each label
    became known, which is now where it does not.

    Raises:
        DataError: the table cannot be read, or lacks a column; or a label of a regression is no number.
    """
    root, name = inference_root(workspace), workspace.name
    told = _read(workspace, table, now)
    whole = told.dropna(subset=[ID, LABEL])
    distinct = whole.drop_duplicates([ID, LABEL], keep="last")
    served = read_log(root, name, columns=[ID])[ID]
    known = distinct[_among(distinct[ID], served)]
    earlier = read_labels(root, name)
    new = known[~_among(_pairs(known), _pairs(earlier))]
    for start in range(0, len(new), CHUNK_ROWS):
        part = new.iloc[start : start + CHUNK_ROWS]
        write_labels(root, name, part[ID].tolist(), part[LABEL].tolist(), part[TIME].dt.to_pydatetime().tolist())
    against = _among(new[ID], earlier.loc[earlier[LABEL].notna(), ID]) | new[ID].duplicated()
    return LabelsBrought(
        accepted=len(new),
        unknown=len(distinct) - len(known),
        repeated=len(whole) - len(distinct) + len(known) - len(new),
        contradicted=int(against.sum()),
        missing=len(told) - len(whole),
    )


def _read(workspace: Workspace, table: str, now: datetime) -> pd.DataFrame:
    """Ids and labels as text and the moments when they became known, the oldest first."""
    data, settings = workspace.spec.data, workspace.settings
    frame = read_source(
        _source(table),
        directory=Path.cwd(),
        allowed=settings.allowed_imports,
        environment={**os.environ, "EVERFRESH_ROOT": str(settings.root)},
        texts=[ID, data.id_column] if data.id_column else [ID],
    )
    ids = frame[_named(frame, data.id_column, ID, "the id")].map(plain_text)
    labels = frame[_named(frame, data.label, LABEL, "the label")]
    read = numbers(labels) if workspace.spec.task == "regression" else category_values(labels)
    moments = pd.Series(pd.Timestamp(now), index=frame.index)
    if TIME in frame and data.time_column != TIME:
        told_at = utc_times(frame[TIME])
        moments = told_at.where(told_at <= pd.Timestamp(now), pd.Timestamp(now))
    told = pd.DataFrame({ID: ids.astype(object), LABEL: read.map(plain_text).astype(object), TIME: moments})
    return told.sort_values(TIME, kind="stable", ignore_index=True)


def _source(table: str) -> Source:
    if table.endswith((".parquet", ".pq")):
        return ParquetSource(kind="parquet", path=table)
    return CsvSource(kind="csv", path=table)


def _named(frame: pd.DataFrame, column: str | None, otherwise: str, role: str) -> str:
    for name in (column, otherwise):
        if name is not None and name in frame.columns:
            return name
    raise MissingColumn(column or otherwise, role, list(frame.columns))


def _pairs(labels: pd.DataFrame) -> pd.Series:
    """Ids and labels as one value each."""
    pairs = np.empty(len(labels), dtype=object)
    pairs[:] = list(zip(labels[ID], labels[LABEL], strict=True))
    return pd.Series(pairs, index=labels.index)


def _among(values: pd.Series, others: pd.Series) -> pd.Series:
    # As objects: a set of hundreds of thousands of texts is slow otherwise.
    return values.astype(object).isin(set(others.astype(object)))
