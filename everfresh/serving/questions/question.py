"""A question to a model, in the terms of no protocol: what transports decode to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from numpy.typing import NDArray

from everfresh.packaging.batch import EncodedCategories

Table = Mapping[str, Sequence[Any] | NDArray[Any] | EncodedCategories]
"""Columns by name, each a list of plain values (None is a missing one) or a numpy array; a category that its sender
encoded stays so."""


class Question(NamedTuple):
    """What a request asks of a model.

    Attributes:
        table: the rows, by column.
        id: what the request calls itself, where its protocol has a place for that.
        record: whether the rows are production's, and so belong into the inference log.
        timeout_s: how long the asker will wait, where its protocol has a place for that.
        wants: what of the request the transport must still know when it writes the answer.
    """

    table: Table
    id: str | None = None
    record: bool = True
    timeout_s: float | None = None
    wants: Any = None
