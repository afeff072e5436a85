"""Which candidates are fitted, over which stretch of time, and how the best is searched for."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from everfresh.spec.fields import Flag, ImportPath, Name, PositiveDuration, Section, Whole, parse_number
from everfresh.spec.metrics import Metric

Value = bool | int | float | str | None

_LARGEST_SEED = 2**32 - 1  # what scikit-learn takes


class Range(Section):
    """A range to search: integers where both ends are integers; `log` searches orders of magnitude."""

    low: Annotated[int | float, BeforeValidator(parse_number)] = Field(description="The smallest value to try.")
    high: Annotated[int | float, BeforeValidator(parse_number)] = Field(description="The largest value to try.")
    log: Flag = Field(False, description="Whether to search orders of magnitude instead of values.")

    @model_validator(mode="after")
    def _range_is_possible(self) -> Range:
        if self.low >= self.high:
            raise ValueError(f"low {self.low:g} is not below high {self.high:g}")
        if self.log and self.low <= 0:
            raise ValueError(f"a log range starts above 0, not at {self.low:g}")
        return self


def _parse_value(value: Any) -> Any:
    """A plain value that JSON can hold, so that a trial's parameters can be written down wherever it is recorded."""
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("a finite number; for others write a function that returns the estimator, as module:function")
    if value is not None and not isinstance(value, bool | int | float | str):
        raise ValueError("a number, text, true, false or null")
    return value


def _shape(value: Any) -> str:
    """Which of the three ways a parameter is written in, so that a fault is reported once and not three times."""
    if isinstance(value, dict | Range):
        return "range"
    return "values" if isinstance(value, list | tuple) else "value"


_Value = Annotated[Value, BeforeValidator(_parse_value)]
Param = Annotated[
    Annotated[Range, Tag("range")] | Annotated[tuple[_Value, ...], Tag("values")] | Annotated[_Value, Tag("value")],
    Discriminator(_shape),
]


class CandidateSpec(Section):
    """One way to model the table. A parameter is a value, a list of values to try, or a range."""

    name: Name = Field(description="What the candidate is called in reports.")
    estimator: ImportPath = Field(description="A scikit-learn estimator, or module:function that returns one.")
    params: dict[str, Param] = Field(
        default_factory=dict, description="The estimator's parameters: each a value, a list to try, or a range."
    )


class SearchSpec(Section):
    """How many trials a candidate gets (fewer where its values run out), and what runs candidates side by side."""

    trials: Whole = Field(10, ge=1, le=10_000, description="How many trials each candidate gets at most.")
    parallel: Literal["threads", "dask", "ray"] = Field("threads", description="What runs candidates side by side.")
    compute: Literal["local"] = Field("local", description="Where candidates are fitted.")


class TrainingSpec(Section):
    """How the challenger is found. Without candidates, a linear model and gradient boosting compete."""

    primary_metric: Metric | None = Field(
        None, description="By what candidates are compared; log_loss or rmse where it is left out."
    )
    window: PositiveDuration | None = Field(
        None, description="How far back rows are learned from, as in 60d; all of them where it is left out."
    )
    candidates: tuple[CandidateSpec, ...] = Field((), description="What is tried, the simplest first.")
    search: SearchSpec = Field(SearchSpec(), description="How the best candidate is searched for.")
    seed: Whole = Field(0, ge=0, le=_LARGEST_SEED, description="What every random choice starts from.")
