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
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, TargetEncoder

from everfresh.packaging.compile.exactness import NoExactExport, kind


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
    encoder = _encoder(transformer)
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


def _encoder(transformer: Any) -> Any:
    *before, encoder = [step for _, step in transformer.steps] if isinstance(transformer, Pipeline) else [transformer]
    for step in before:
        if not isinstance(step, SimpleImputer) or step.add_indicator:
            raise NoExactExport(f"{kind(step)} before an encoder has no exact export")
    if isinstance(encoder, TargetEncoder) and encoder.target_type_ == "multiclass":
        raise NoExactExport("TargetEncoder for several classes has no exact export")
    if not isinstance(encoder, OneHotEncoder | OrdinalEncoder | TargetEncoder):
        raise NoExactExport(f"{kind(encoder)} on categories has no exact export")
    return encoder


def _with_others(known: Sequence[str]) -> list[str | None]:
    unseen = "unseen"
    while unseen in known:
        unseen += "'"
    return [*known, unseen, None]


def _widths(encoder: Any) -> list[int]:
    if isinstance(encoder, OneHotEncoder):
        return [int(width) for width in encoder._n_features_outs]
    return [1] * len(encoder.categories_)
