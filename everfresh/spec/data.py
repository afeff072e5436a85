"""Where a project's table comes from, what its columns are, and how it is split."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from everfresh.spec.fields import (
    VARIABLE,
    ColumnName,
    Duration,
    Flag,
    Holdout,
    ImportPath,
    Number,
    Section,
    Share,
    refuse_empty,
    written_default,
)

Dtype = Literal["float", "integer", "boolean", "category", "datetime", "ignore"]

_FILES = "A path or a glob, on this machine or at s3:// or abfss://."


class CsvSource(Section):
    """Comma-separated files: a path or a glob, on this machine or at s3:// or abfss://."""

    kind: Literal["csv"] = Field(description="Comma-separated files.")
    path: str = Field(min_length=1, description=_FILES)
    separator: str = Field(",", min_length=1, max_length=1, description="What stands between two values.")


class ParquetSource(Section):
    """Parquet files: a path or a glob, on this machine or at s3:// or abfss://."""

    kind: Literal["parquet"] = Field(description="Parquet files.")
    path: str = Field(min_length=1, description=_FILES)


class SqlSource(Section):
    """A query over SQLAlchemy. `url_from` names the environment variable that holds the URL: a spec holds no secret."""

    kind: Literal["sql"] = Field(description="A query to a database.")
    query: str = Field(min_length=1, description="The SELECT statement; its columns become the table's.")
    url_from: str = Field(
        "EVERFRESH_SQL_URL", pattern=VARIABLE, description="The environment variable that holds the database's URL."
    )


class PythonSource(Section):
    """A function without parameters that returns a pandas DataFrame, as `module:function`.

    The module lies beside the spec, or its package is on the allow-list.
    """

    kind: Literal["python"] = Field(description="A function that returns a pandas DataFrame.")
    path: ImportPath = Field(description="The function as module:function, from a module beside the spec.")


Source = Annotated[CsvSource | ParquetSource | SqlSource | PythonSource, Field(discriminator="kind")]


class ColumnSpec(Section):
    """What a column must hold; what is left out is inferred on the first training run."""

    dtype: Dtype = Field(description="What the column holds; `ignore` keeps it from the model.")
    min: Number | None = Field(None, description="The smallest number that is accepted.")
    max: Number | None = Field(None, description="The largest number that is accepted.")
    nullable: Flag = Field(True, description="Whether a value may be missing.")
    values: Annotated[tuple[str, ...] | None, AfterValidator(refuse_empty)] = Field(
        None, description="The categories that are accepted."
    )

    @model_validator(mode="after")
    def _limits_fit_the_dtype(self) -> ColumnSpec:
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min:g} is above max {self.max:g}")
        if self.dtype in ("category", "boolean", "ignore") and (self.min is not None or self.max is not None):
            raise ValueError(f"min and max are for numbers, not for dtype {self.dtype}")
        if self.dtype != "category" and self.values is not None:
            raise ValueError(f"values are for dtype category, not for dtype {self.dtype}")
        return self


class TimeSplit(Section):
    """The newest rows are held out: a stretch of time or a share of the rows."""

    kind: Literal["time"] = Field(description="The newest rows are held out.")
    holdout: Holdout = Field(
        timedelta(days=14),
        description="How much: a duration as in 14d, or a share of the rows.",
        json_schema_extra=written_default("14d"),
    )


class GroupedSplit(Section):
    """Rows that share a value of `by` stay together."""

    kind: Literal["grouped"] = Field(description="Rows of one group stay together.")
    by: ColumnName = Field(description="The column that says to which group a row belongs.")
    holdout: Share = Field(0.2, description="About which share of the rows is held out, in whole groups.")


class RandomSplit(Section):
    """Rows at random, classes in proportion; for tables without time and without groups."""

    kind: Literal["random"] = Field(description="Rows at random, classes in proportion.")
    holdout: Share = Field(0.2, description="The share of the rows that is held out.")


Split = Annotated[TimeSplit | GroupedSplit | RandomSplit, Field(discriminator="kind")]


class DataSpec(Section):
    """The table that a model learns from."""

    source: Source = Field(description="Where the table comes from.")
    label: ColumnName = Field(description="The column to predict.")
    label_delay: Duration = Field(
        timedelta(0),
        description="How long after a row's time its label is known, as in 1d; 0d where it is at once.",
        json_schema_extra=written_default("0d"),
    )
    time_column: ColumnName | None = Field(None, description="When a row happened, in UTC or with a time zone.")
    id_column: ColumnName | None = Field(None, description="What identifies a row, to bring labels back by.")
    columns: dict[ColumnName, ColumnSpec] = Field(
        default_factory=dict, description="What columns must hold; those left out are inferred."
    )
    split: Split | None = Field(
        None, description="What is held out; without it a fifth, by time where there is a time column, else at random."
    )

    @property
    def effective_split(self) -> TimeSplit | GroupedSplit | RandomSplit:
        """The split that is used: by time where there is a time column, at random where there is none."""
        if self.split is not None:
            return self.split
        if self.time_column is not None:
            return TimeSplit(kind="time", holdout=0.2)
        return RandomSplit(kind="random")
