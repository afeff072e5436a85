"""Where a project's table comes from, what its columns are, and how it is split."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field, model_validator

from everfresh.spec.fields import Duration, ImportPath, Section, Share

Dtype = Literal["float", "integer", "boolean", "category", "datetime", "ignore"]


class CsvSource(Section):
    """Comma-separated files: a path or a glob, on this machine or at s3:// or abfss://."""

    kind: Literal["csv"]
    path: str
    separator: str = Field(",", min_length=1, max_length=1)


class ParquetSource(Section):
    """Parquet files: a path or a glob, on this machine or at s3:// or abfss://."""

    kind: Literal["parquet"]
    path: str


class SqlSource(Section):
    """A query over SQLAlchemy. `url_from` names the environment variable that holds the URL: a spec holds no secret."""

    kind: Literal["sql"]
    query: str
    url_from: str = Field("EVERFRESH_SQL_URL", pattern=r"^[A-Z][A-Z0-9_]*$")


class PythonSource(Section):
    """A function without parameters that returns a pandas DataFrame, as `module:function`.

    The module lies beside the spec, or its package is on the allow-list.
    """

    kind: Literal["python"]
    path: ImportPath


Source = Annotated[CsvSource | ParquetSource | SqlSource | PythonSource, Field(discriminator="kind")]


class ColumnSpec(Section):
    """What a column must hold; what is left out is inferred on the first training run."""

    dtype: Dtype
    min: float | None = None
    max: float | None = None
    nullable: bool = True
    values: tuple[str, ...] | None = None

    @model_validator(mode="after")
    def _range_is_possible(self) -> ColumnSpec:
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min:g} is above max {self.max:g}")
        return self


class TimeSplit(Section):
    """The newest rows are held out: a stretch of time or a share of the rows."""

    kind: Literal["time"]
    holdout: Duration | Share = timedelta(days=14)


class GroupedSplit(Section):
    """Rows that share a value of `by` stay together."""

    kind: Literal["grouped"]
    by: str
    holdout: Share = 0.2


class RandomSplit(Section):
    """Rows at random, classes in proportion; for tables without time and without groups."""

    kind: Literal["random"]
    holdout: Share = 0.2


Split = Annotated[TimeSplit | GroupedSplit | RandomSplit, Field(discriminator="kind")]


class DataSpec(Section):
    """The table that a model learns from."""

    source: Source
    label: str = Field(min_length=1)
    label_delay: Duration = timedelta(0)
    time_column: str | None = None
    id_column: str | None = None
    columns: dict[str, ColumnSpec] = Field(default_factory=dict)
    split: Split | None = None

    @property
    def effective_split(self) -> TimeSplit | GroupedSplit | RandomSplit:
        """The split that is used: by time where there is a time column, at random where there is none."""
        if self.split is not None:
            return self.split
        if self.time_column is not None:
            return TimeSplit(kind="time", holdout=0.2)
        return RandomSplit(kind="random")
