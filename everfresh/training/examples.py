"""Rows with their labels, in the form that estimators learn from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from everfresh.data.columns import Column
from everfresh.data.frames import label_array, model_frame
from everfresh.errors import NothingToLearnFrom
from everfresh.spec.data import DataSpec
from everfresh.spec.metrics import Task


@dataclass(frozen=True)
class Examples:
    """A model frame and the label of each of its rows: fixed-width text for classification, float64 for regression."""

    rows: pd.DataFrame
    labels: NDArray[Any]

    def __len__(self) -> int:
        return len(self.labels)


def examples_of(frame: pd.DataFrame, columns: Sequence[Column], data: DataSpec, task: Task) -> Examples:
    """The features and labels of a project's table.

    Raises:
        DataError: a column is not there or does not hold what it must.
    """
    labels = label_array(frame, data, task)
    # Fixed-width text: a classifier keeps its classes in the type of its labels, and skops stores this one as numbers.
    return Examples(model_frame(frame, columns), labels.astype(str) if task == "classification" else labels)


def joined(first: Examples, second: Examples) -> Examples:
    """The rows of both, `first` ones first."""
    rows = pd.concat([first.rows, second.rows], ignore_index=True)
    return Examples(rows, np.concatenate([first.labels, second.labels]))


def columns_with_values(columns: Sequence[Column], rows: pd.DataFrame) -> tuple[Column, ...]:
    """The columns that have a value in `rows`: nothing can be learned from the others, and boosting fails on them.

    Raises:
        NothingToLearnFrom: there is no such column.
    """
    usable = tuple(column for column in columns if rows[column.name].notna().any())
    if not usable:
        raise NothingToLearnFrom([column.name for column in columns], len(rows))
    return usable
