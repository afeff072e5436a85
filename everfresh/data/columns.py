"""What a model knows of a column, and how a category is written. The inference server imports it: nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

ColumnDtype = Literal["float", "integer", "boolean", "category", "datetime"]


@dataclass(frozen=True)
class Column:
    """A feature.

    Attributes:
        name: its name in tables and requests.
        dtype: what it holds. Models see categories as text and everything else as float64: a boolean as 0 and 1, a
            datetime as seconds since 1970 in UTC.
        nullable: whether a value may be missing.
        minimum: the smallest value that the schema check accepts; None for no limit.
        maximum: the largest one.
        values: the categories that the schema check accepts; None for any.
    """

    name: str
    dtype: ColumnDtype
    nullable: bool = True
    minimum: float | None = None
    maximum: float | None = None
    values: tuple[str, ...] | None = None

    @property
    def is_category(self) -> bool:
        """Whether models see it as text."""
        return self.dtype == "category"

    def to_json(self) -> dict[str, Any]:
        """A mapping of JSON's own types; `from_json` gives the same column back."""
        return asdict(self) | {"values": None if self.values is None else list(self.values)}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Column:
        """The column that `to_json` wrote.

        Raises:
            TypeError: a key is missing or unknown.
        """
        values = document.get("values")
        return cls(**{**document, "values": None if values is None else tuple(values)})


def plain_text(value: Any) -> str | None:
    """The one way to write a category, whichever way it came: 5, 5.0 and "5" are the same airport gate.

    >>> [plain_text(value) for value in ("JFK", 5, 5.0, 0.5, True, None, float("nan"))]
    ['JFK', '5', '5', '0.5', 'true', None, None]
    """
    if isinstance(value, str):
        return value
    if _is_missing(value):
        return None
    if getattr(value, "shape", None) == ():  # a scalar of numpy
        value = value.item()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _is_missing(value: Any) -> bool:
    try:
        return value is None or bool(value != value)
    except (TypeError, ValueError):  # the NA of pandas has no answer, and an array has many
        return not hasattr(value, "__len__")
