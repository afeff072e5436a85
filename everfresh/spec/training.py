"""Which candidates are fitted, over which stretch of time, and how the best is searched for."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from everfresh.spec.fields import Duration, ImportPath, Name, Section
from everfresh.spec.metrics import Metric

Value = bool | int | float | str | None


class Range(Section):
    """A range to search: integers where both ends are integers; `log` searches orders of magnitude."""

    low: int | float
    high: int | float
    log: bool = False

    @model_validator(mode="after")
    def _range_is_possible(self) -> Range:
        if self.low >= self.high:
            raise ValueError(f"low {self.low:g} is not below high {self.high:g}")
        if self.log and self.low <= 0:
            raise ValueError(f"a log range starts above 0, not at {self.low:g}")
        return self


def _shape(value: Any) -> str:
    """Which of the three ways a parameter is written in, so that a fault is reported once and not three times."""
    if isinstance(value, dict | Range):
        return "range"
    return "values" if isinstance(value, list | tuple) else "value"


Param = Annotated[
    Annotated[Range, Tag("range")] | Annotated[tuple[Value, ...], Tag("values")] | Annotated[Value, Tag("value")],
    Discriminator(_shape),
]


class CandidateSpec(Section):
    """One way to model the table. A parameter is a value, a list of values to try, or a range."""

    name: Name
    estimator: ImportPath
    params: dict[str, Param] = Field(default_factory=dict)


class SearchSpec(Section):
    """How many trials a candidate gets (fewer where its values run out), and what runs candidates side by side."""

    trials: int = Field(10, ge=1, le=10_000)
    parallel: Literal["threads", "dask", "ray"] = "threads"
    compute: Literal["local"] = "local"


class TrainingSpec(Section):
    """How the challenger is found. Without candidates, a linear model and gradient boosting compete."""

    primary_metric: Metric | None = None
    window: Duration | None = None
    candidates: tuple[CandidateSpec, ...] = ()
    search: SearchSpec = SearchSpec()
    seed: int = Field(0, ge=0)
