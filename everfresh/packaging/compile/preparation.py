"""The fitted ColumnTransformer, read as blocks of features in the order in which the estimator sees them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, StandardScaler

from everfresh.data.columns import Column
from everfresh.packaging.compile.categories import CategoryTable, category_tables
from everfresh.packaging.compile.exactness import NoExactExport, kind


@dataclass(frozen=True)
class Numbers:
    """Numeric columns that go through the same steps. An array has one element per column; None means no such step.

    Attributes:
        names: the columns.
        fill: what stands for a missing value.
        mean: what is subtracted, after filling.
        scale: what it is divided by, after that.
    """

    names: tuple[str, ...]
    fill: NDArray[np.float64] | None = None
    mean: NDArray[np.float64] | None = None
    scale: NDArray[np.float64] | None = None

    @property
    def width(self) -> int:
        """How many features these are."""
        return len(self.names)

    @property
    def is_plain(self) -> bool:
        """Whether the estimator sees the columns as they come."""
        return self.fill is None and self.mean is None and self.scale is None


Block = Numbers | CategoryTable


def read_preparation(prepare: ColumnTransformer, columns: Sequence[Column]) -> list[Block]:
    """The features that a fitted ColumnTransformer makes of a model frame, block by block, in their order.

    Raises:
        NoExactExport: some part of it has none.
    """
    if not isinstance(prepare, ColumnTransformer):
        raise NoExactExport(f"{kind(prepare)} before the estimator has no exact export")
    if prepare.transformer_weights:
        raise NoExactExport("transformer_weights have no exact export")
    by_name = {column.name: column for column in columns}
    blocks: list[Block] = []
    for _, transformer, selected in prepare.transformers_:
        if _is_nothing(transformer, selected):
            continue
        chosen = [by_name[name] for name in _names(prepare, selected)]
        if any(column.is_category for column in chosen):
            blocks += category_tables(transformer, [column.name for column in chosen])
        else:
            blocks.append(_numbers(transformer, tuple(column.name for column in chosen)))
    _check_used_once(blocks)
    return blocks


def steps_of(transformer: Any) -> Iterator[Any]:
    """The fitted steps of a transformer or a pipeline of them, without those that do nothing."""
    steps = [step for _, step in transformer.steps] if isinstance(transformer, Pipeline) else [transformer]
    for step in steps:
        # scikit-learn replaces "passthrough" by a FunctionTransformer without a function.
        if step is None or isinstance(step, str) or (isinstance(step, FunctionTransformer) and step.func is None):
            continue
        yield step


def _numbers(transformer: Any, names: tuple[str, ...]) -> Numbers:
    numbers = Numbers(names)
    for step in steps_of(transformer):
        if isinstance(step, SimpleImputer):
            numbers = _filled(numbers, step)
        elif isinstance(step, StandardScaler):
            numbers = _scaled(numbers, step)
        elif isinstance(step, OneHotEncoder | OrdinalEncoder):
            raise NoExactExport(f"{kind(step)} on numbers has no exact export; declare the columns as categories")
        else:
            raise NoExactExport(f"{kind(step)} has no exact export")
    return numbers


def _filled(numbers: Numbers, imputer: SimpleImputer) -> Numbers:
    if imputer.add_indicator:
        raise NoExactExport("SimpleImputer with add_indicator has no exact export")
    if not (isinstance(imputer.missing_values, float) and np.isnan(imputer.missing_values)):
        raise NoExactExport("SimpleImputer of another missing value than NaN has no exact export")
    if not numbers.is_plain:
        raise NoExactExport("SimpleImputer after another step has no exact export")
    statistics = np.asarray(imputer.statistics_, dtype=np.float64)
    # A column without any value has no statistic, and scikit-learn leaves it out.
    kept = np.ones(len(statistics), bool) if imputer.keep_empty_features else ~np.isnan(statistics)
    names = tuple(name for name, keep in zip(numbers.names, kept, strict=True) if keep)
    return Numbers(names, fill=statistics[kept])


def _scaled(numbers: Numbers, scaler: StandardScaler) -> Numbers:
    if numbers.mean is not None or numbers.scale is not None:
        raise NoExactExport("two StandardScalers in a row have no exact export")
    return Numbers(
        numbers.names,
        fill=numbers.fill,
        mean=scaler.mean_ if scaler.with_mean else None,
        scale=scaler.scale_ if scaler.with_std else None,
    )


def _is_nothing(transformer: Any, selected: Any) -> bool:
    return (isinstance(transformer, str) and transformer == "drop") or len(selected) == 0


def _names(prepare: ColumnTransformer, selected: Any) -> list[str]:
    """The names behind a selection, which may be made of names or of positions."""
    if isinstance(selected, str):
        return [selected]
    if not isinstance(selected, Sequence | np.ndarray):
        raise NoExactExport(f"a selection of columns by {kind(selected)} has no exact export")
    return [name if isinstance(name, str) else str(prepare.feature_names_in_[name]) for name in selected]


def _check_used_once(blocks: Sequence[Block]) -> None:
    seen: set[str] = set()
    for name in (name for block in blocks for name in block.names):
        if name in seen:
            raise NoExactExport(f"the column {name!r} is prepared twice")
        seen.add(name)
