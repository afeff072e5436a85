"""From a project's source to the rows that a model learns from and the rows that it is judged on."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from everfresh.data.columns import Column
from everfresh.data.fingerprint import fingerprint
from everfresh.data.inference import infer_columns
from everfresh.data.schema_check import check_schema
from everfresh.data.splits import split_rows
from everfresh.data.table import check_labels, known_rows, load_table
from everfresh.errors import MissingColumn
from everfresh.settings import Settings
from everfresh.spec.loading import Project
from everfresh.training.examples import Examples, examples_of, joined

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class LearningRows:
    """All labelled rows that are known at a moment, split.

    Attributes:
        columns: the features.
        ignored: the columns that no model sees, each with the reason.
        notes: what was noticed about the table, one sentence each, violations of the schema included.
        train, validation, holdout: features and labels.
        holdout_table: the holdout as it came, for slices and for a champion of other columns.
        learning_times: the times of the training and validation rows; None without a time column.
        holdout_times: the times of the holdout.
        fingerprint: of all of these rows.
        as_of: the moment at which they are known; None without a time column.
    """

    columns: tuple[Column, ...]
    ignored: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    train: Examples
    validation: Examples
    holdout: Examples
    holdout_table: pd.DataFrame
    learning_times: NDArray[np.datetime64] | None
    holdout_times: NDArray[np.datetime64] | None
    fingerprint: str
    as_of: datetime | None

    @property
    def learning(self) -> Examples:
        """The rows that the chosen model is fitted on: everything but the holdout."""
        return joined(self.train, self.validation)


def learning_rows(project: Project, settings: Settings, as_of: datetime | None = None) -> LearningRows:
    """The rows of a project that are known at `as_of`, or at the end of its table.

    Raises:
        DataError: the table cannot be read, or cannot be learned from.
    """
    spec = project.spec
    table = load_table(project, settings)
    for column in spec.inference_log.redact:
        if column not in table.frame.columns:  # a typo would leave the column as it is in the log
            raise MissingColumn(column, "what inference_log.redact names", list(table.frame.columns))
    known = known_rows(table, spec.data, window=spec.training.window, as_of=as_of)
    check_labels(known.frame, spec.data, spec.task)
    features = infer_columns(known.frame, spec.data)
    split = split_rows(known.frame, spec.data, task=spec.task, seed=spec.training.seed)
    violations = check_schema(known.frame, features.columns)

    def part(positions: NDArray[np.intp]) -> Examples:
        return examples_of(known.frame.iloc[positions], features.columns, spec.data, spec.task)

    logger.info(
        "Split %s rows of %s: %s to learn from, %s to choose by, %s held out",
        *(f"{len(rows):,}" for rows in (known.frame,)), project.name,
        *(f"{len(rows):,}" for rows in (split.train, split.validation, split.holdout)),
    )  # fmt: skip
    return LearningRows(
        columns=features.columns,
        ignored=features.ignored,
        notes=(*table.notes, *map(str, violations)),
        train=part(split.train),
        validation=part(split.validation),
        holdout=part(split.holdout),
        holdout_table=known.frame.iloc[split.holdout].reset_index(drop=True),
        learning_times=_times(known.frame, spec.data.time_column, np.concatenate([split.train, split.validation])),
        holdout_times=_times(known.frame, spec.data.time_column, split.holdout),
        fingerprint=fingerprint(known.frame),
        as_of=known.as_of,
    )


def _times(frame: pd.DataFrame, column: str | None, positions: NDArray[np.intp]) -> NDArray[np.datetime64] | None:
    if column is None:
        return None
    naive = frame[column].iloc[positions].dt.tz_convert("UTC").dt.tz_localize(None)
    times: NDArray[np.datetime64] = naive.to_numpy(dtype="datetime64[us]")
    return times
