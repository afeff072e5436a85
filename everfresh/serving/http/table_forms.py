"""Tables as JSON writes them: the orientations of pandas, which several protocols carry under names of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from everfresh.packaging.manifest import Manifest
from everfresh.serving.questions.decoding import columns_of_records, columns_of_rows
from everfresh.serving.refusals import EmptyBatch, Malformed

Columns = dict[str, Sequence[Any]]


def split(value: Any, name: str, manifest: Manifest) -> Columns:
    """The orientation "split": names, and rows in their order. An index is allowed and says nothing.

    Where there are no names, the rows are in the order of the model's columns.
    """
    if (
        not isinstance(value, dict)
        or not {"data"} <= value.keys() <= {"columns", "data", "index"}
        or not isinstance(value.get("columns", []), list)
        or not isinstance(value["data"], list)
    ):
        raise Malformed(f'{name} is not an object of "columns" and "data".', field=name)
    return columns_of_rows(value.get("columns", column_names(manifest)), value["data"])


def rows_or_records(value: Any, name: str, manifest: Manifest) -> Columns:
    """A list of records, or one of rows in the order of the model's columns."""
    if not isinstance(value, list):
        raise Malformed(f"{name} is not a list of rows.", field=name)
    if not value:
        raise EmptyBatch
    if isinstance(value[0], list):
        return columns_of_rows(column_names(manifest), value)
    return columns_of_records(value)


def columns(value: dict[str, Any]) -> Columns:
    """Columns by name; one that holds a single value is a single row."""
    return {name: values if isinstance(values, list) else [values] for name, values in value.items()}


def column_names(manifest: Manifest) -> list[str]:
    """The features in the order in which rows without names have them."""
    return [column.name for column in manifest.columns]
