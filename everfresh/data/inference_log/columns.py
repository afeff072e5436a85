"""What the files of the inference log hold."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from everfresh.data.columns import Column
from everfresh.data.inference_log.policy import KEEP_ALL, LogPolicy

FEATURE_PREFIX = "x."
ANSWER_PREFIX = "p."
VALUE = "value"

TIME = pa.timestamp("us", tz="UTC")
ROW = pa.schema(
    [
        ("id", pa.string()),
        ("time", TIME),
        ("received", TIME),
        ("model", pa.string()),
        ("version", pa.int64()),
        ("variant", pa.string()),
        ("request_id", pa.string()),
        ("latency_s", pa.float64()),
    ]
)
LABELS = pa.schema([("id", pa.string()), ("label", pa.string()), ("received", TIME)])


def log_schema(columns: Sequence[Column], classes: Sequence[str], policy: LogPolicy = KEEP_ALL) -> pa.Schema:
    """The columns of the log of one model: `classes` are empty for a regression.

    A feature that the policy drops is not there, and one that it hashes is text.
    """
    features = [
        (f"{FEATURE_PREFIX}{c.name}", pa.string() if c.is_category or c.name in policy.hashed else pa.float64())
        for c in columns
        if c.name not in policy.dropped
    ]
    answers = [(f"{ANSWER_PREFIX}{name}", pa.float64()) for name in classes] or [(VALUE, pa.float64())]
    return pa.schema([*ROW, *(pa.field(name, dtype) for name, dtype in (*features, *answers))])


def is_answer(column: str) -> bool:
    """Whether a column of the log holds what was answered."""
    return column == VALUE or column.startswith(ANSWER_PREFIX)
