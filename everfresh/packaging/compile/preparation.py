"""The fitted steps before the estimator: what each column goes through, in the order in which the estimator sees it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline

from everfresh.data.columns import Column
from everfresh.packaging.codes import CategoryCodes, Codes
from everfresh.packaging.compile.categories import CategoryTable, category_tables
from everfresh.packaging.compile.exactness import NoExactExport, kind
from everfresh.packaging.compile.flattening import steps_of


@dataclass(frozen=True)
class Numbers:
    """Numeric columns that go through the same fitted steps, one after the other."""

    names: tuple[str, ...]
    steps: tuple[Any, ...] = ()


Block = Numbers | CategoryTable


@dataclass(frozen=True)
class Fitted:
    """A fitted pipeline as it is compiled.

    Attributes:
        blocks: what makes features of columns; the matrix holds them side by side.
        steps: what the whole matrix then goes through.
        model: the estimator.
    """

    blocks: tuple[Block, ...]
    steps: tuple[Any, ...]
    model: Any


def read_pipeline(pipeline: Pipeline, columns: Sequence[Column]) -> Fitted:
    """The parts of a fitted pipeline that reads a model frame of `columns`.

    Raises:
        NoExactExport: some part of it is nothing that is known here.
    """
    *steps, model = steps_of(pipeline)
    if steps and isinstance(steps[0], ColumnTransformer):
        prepare, *steps = steps
        if steps and prepare.sparse_output_:
            # Scalers multiply a sparse matrix by the inverse where they divide a dense one.
            raise NoExactExport(f"{kind(steps[0])} on a sparse matrix has no exact export")
        blocks = read_blocks(prepare, columns)
    elif any(column.is_category for column in columns):
        raise NoExactExport(f"{kind(steps[0] if steps else model)} on categories has no exact export")
    else:
        blocks = [Numbers(tuple(column.name for column in columns))]
    return Fitted(tuple(blocks), tuple(steps), model)


def read_blocks(prepare: ColumnTransformer, columns: Sequence[Column]) -> list[Block]:
    """The features that a fitted ColumnTransformer makes of a model frame, block by block, in their order.

    Raises:
        NoExactExport: some part of it is nothing that is known here.
    """
    if prepare.transformer_weights:
        raise NoExactExport("transformer_weights have no exact export")
    by_name = {column.name: column for column in columns}
    blocks: list[Block] = []
    for part, transformer, selected in prepare.transformers_:
        if isinstance(transformer, str) and transformer == "drop":
            continue
        names = _names(prepare, part, selected)
        if not names:
            continue
        chosen = [by_name[name] for name in names]
        if not any(column.is_category for column in chosen):
            blocks.append(Numbers(names, tuple(steps_of(transformer))))
        elif all(column.is_category for column in chosen):
            blocks += category_tables(transformer, names)
        else:
            raise NoExactExport(f"{kind(transformer)} on numbers and categories together has no exact export")
    _check_categories_used_once(blocks)
    return blocks


def codes_of(blocks: Sequence[Block]) -> Codes:
    """The matrix that a plan with these blocks reads: its columns in the order of the features.

    A category that becomes one number is that number already. One that becomes several is a row number in the
    tables of all such categories, laid one below the other.
    """
    categories: dict[str, CategoryCodes] = {}
    first_row = 0
    for block in blocks:
        if isinstance(block, CategoryTable):
            is_number = block.width == 1
            rows = block.features[:, 0] if is_number else first_row + np.arange(len(block.features), dtype=np.float64)
            *known, unseen, missing = rows.tolist()
            categories[block.name] = CategoryCodes(dict(zip(block.known, known, strict=True)), missing, unseen)
            first_row += 0 if is_number else len(block.features)
    return Codes(tuple(name for block in blocks for name in block.names), categories)


def is_plain(block: Block) -> bool:
    """Whether the matrix of `codes_of` holds the features themselves."""
    return block.width == 1 if isinstance(block, CategoryTable) else not block.steps


def _names(prepare: ColumnTransformer, name: str, selected: Any) -> tuple[str, ...]:
    """The names behind a selection, which may be made of names, positions, a slice or a mask."""
    if isinstance(selected, str | int | np.integer):
        # By a name alone, and not by a list of one, the transformer gets a series.
        raise NoExactExport(f"the column {selected!r} outside of a list has no exact export")
    positions = prepare._transformer_to_input_indices[name]
    return tuple(str(prepare.feature_names_in_[position]) for position in positions)


def _check_categories_used_once(blocks: Sequence[Block]) -> None:
    """A column of categories has one code, so it can have one table only."""
    seen: set[str] = set()
    for name in (block.name for block in blocks if isinstance(block, CategoryTable)):
        if name in seen:
            raise NoExactExport(f"the category {name!r} is prepared twice")
        seen.add(name)
