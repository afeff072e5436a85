"""What a fitted encoder makes of a category: the encoder itself is asked, value by value.

A category column can hold what the encoder learned, something else, or nothing. The encoder's answers to all
of these are one small table; the compiled plan looks them up and knows nothing about encoders, so it is exact by
construction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import (
    MaxAbsScaler,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    RobustScaler,
    StandardScaler,
    TargetEncoder,
)

from everfresh.packaging.compile.exactness import NoExactExport, kind
from everfresh.packaging.compile.flattening import steps_of

_ENCODERS = (OneHotEncoder, OrdinalEncoder, TargetEncoder)
_EACH_BY_ITSELF = (MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler)


@dataclass(frozen=True)
class CategoryTable:
    """The features that one category column becomes.

    Attributes:
        name: the column.
        known: the categories that the encoder learned.
        features: float64 [known + 2, width]: a row for each known category, then one for an unseen category, then
            one for a missing value.
    """

    name: str
    known: tuple[str, ...]
    features: NDArray[np.float64]

    @property
    def names(self) -> tuple[str, ...]:
        """The column, as other blocks name theirs."""
        return (self.name,)

    @property
    def width(self) -> int:
        """How many features it becomes."""
        return int(self.features.shape[1])


def category_tables(transformer: Any, names: Sequence[str]) -> list[CategoryTable]:
    """A table for each of the columns that a fitted transformer encodes, in the order of its features.

    Raises:
        NoExactExport: it is no encoder of single columns, or it refuses what production may send.
    """
    encoder = _encoder(list(steps_of(transformer)))
    known = [tuple(str(value) for value in values if isinstance(value, str)) for values in encoder.categories_]
    # Each column runs through its own values at the same time; a shorter one repeats its last.
    asked = [_with_others(values) for values in known]
    rows = max(len(values) for values in asked)
    frame = pd.DataFrame(
        {
            name: pd.Series([*values, *[values[-1]] * (rows - len(values))], dtype="str")
            for name, values in zip(names, asked, strict=True)
        }
    )
    try:
        answers = transformer.transform(frame)
    except ValueError as error:
        raise NoExactExport(f"{kind(encoder)} refuses a category that it did not see, or a missing one") from error
    dense = np.asarray(answers.toarray() if hasattr(answers, "toarray") else answers, dtype=np.float64)
    ends = np.cumsum(_widths(encoder))
    if ends[-1] != dense.shape[1]:
        raise NoExactExport(f"{kind(encoder)} in this configuration has no exact export")
    return [
        CategoryTable(name, values, block[: len(values) + 2])
        for name, values, block in zip(names, known, np.split(dense, ends[:-1], axis=1), strict=True)
    ]


def _encoder(steps: Sequence[Any]) -> Any:
    """The encoder among the steps: behind imputers, and before what changes each number by itself."""
    position = next((place for place, step in enumerate(steps) if isinstance(step, _ENCODERS)), len(steps))
    for step in steps[:position]:
        if not isinstance(step, SimpleImputer) or step.add_indicator:
            raise NoExactExport(f"{kind(step)} on categories has no exact export")
    if position == len(steps):
        raise NoExactExport("categories without an encoder have no exact export")
    for step in steps[position + 1 :]:
        if not isinstance(step, _EACH_BY_ITSELF):
            raise NoExactExport(f"{kind(step)} behind an encoder has no exact export")
    return steps[position]


def _with_others(known: Sequence[str]) -> list[str | None]:
    unseen = "unseen"
    while unseen in known:
        unseen += "'"
    return [*known, unseen, None]


def _widths(encoder: Any) -> list[int]:
    if isinstance(encoder, OneHotEncoder):
        return [int(width) for width in encoder._n_features_outs]
    is_multiclass = isinstance(encoder, TargetEncoder) and encoder.target_type_ == "multiclass"
    return [len(encoder.classes_) if is_multiclass else 1] * len(encoder.categories_)
