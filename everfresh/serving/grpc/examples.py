"""Rows as TensorFlow's examples: what Classify and Regress take.

A feature has one value: text in UTF-8, a float or an integer. One without a value is a missing one. Floats have
32 bits there, and mean what such a float is: 0.1 comes as 0.10000000149011612.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from everfresh.serving.grpc.messages import Message
from everfresh.serving.questions.decoding import check_rows, columns_of_records
from everfresh.serving.questions.tensors import text
from everfresh.serving.refusals import BadValue, Malformed, shortened


def read_examples(given: Message) -> dict[str, Sequence[Any]]:
    """The table in an Input; what its examples have in common is in each of them.

    Raises:
        Malformed: it has no examples.
        TooManyRows: it is said before anything is done with them.
        BadRows: a feature has several values, or one that no column can have.
    """
    kind = given.WhichOneof("kind")
    if kind is None:
        raise Malformed("The request has no examples.", field="input")
    batch = getattr(given, kind)
    check_rows(len(batch.examples))
    common = batch.context.features.feature if kind == "example_list_with_context" else {}
    return columns_of_records(
        [_record(row, {**common, **example.features.feature}) for row, example in enumerate(batch.examples)]
    )


def _record(row: int, features: Mapping[str, Message]) -> dict[str, Any]:
    return {name: _value(name, row, feature) for name, feature in features.items()}


def _value(name: str, row: int, feature: Message) -> Any:
    kind = feature.WhichOneof("kind")
    values = getattr(feature, kind).value if kind is not None else ()
    if not values:
        return None
    if len(values) > 1:
        raise BadValue(shortened(name), row, list(values[:2]), "one value")
    value = values[0]
    if kind == "bytes_list":
        return text(name, row, value)
    if kind == "float_list" and not math.isfinite(value):
        if math.isnan(value):
            return None
        raise BadValue(shortened(name), row, value, "a finite number")
    return value
