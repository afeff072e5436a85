"""What of the traffic is kept, and for how long."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from everfresh.spec.fields import ColumnName, Number, PositiveDuration, Section, written_default


def _at_least_an_hour(keep: timedelta) -> timedelta:
    if keep < timedelta(hours=1):
        raise ValueError("a duration of at least 1h: the log is removed by whole hours")
    return keep


class InferenceLogSpec(Section):
    """What the server keeps of requests and answers. What is redacted never reaches a disk as it was asked.

    A redacted feature is still what the model sees; its drift and its quality in production are not watched.
    """

    keep: Annotated[PositiveDuration, AfterValidator(_at_least_an_hour)] = Field(
        timedelta(days=365),
        description="How long rows and labels are kept after they came, as in 90d; removed by whole hours.",
        json_schema_extra=written_default("365d"),
    )
    sample: Number = Field(
        1.0, gt=0, le=1, description="The share of the requests that is kept, each with all of its rows."
    )
    redact: dict[ColumnName, Literal["drop", "hash"]] = Field(
        default_factory=dict, description="Features that are left out (drop) or stand there as a keyed hash (hash)."
    )
