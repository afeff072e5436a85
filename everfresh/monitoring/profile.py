"""What a model was trained on, in kilobytes: enough to tell later whether production still looks like it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from everfresh.errors import UnreadableProfile
from everfresh.monitoring.counts import (
    MOST_VALUES,
    CategoryCounts,
    NumberCounts,
    count_categories,
    count_numbers,
    grid_edges,
)
from everfresh.monitoring.dependence import (
    INDEPENDENT,
    Dependence,
    TimeBlocks,
    category_dependence,
    missing_dependence,
    number_dependence,
    time_blocks,
)
from everfresh.monitoring.normal_scores import normal_scores

if TYPE_CHECKING:
    import pandas as pd

    from everfresh.data.columns import Column

    Floats = np.ndarray[Any, np.dtype[np.float64]]

Role = Literal["feature", "prediction", "label"]
_FORMAT = 1


@dataclass(frozen=True)
class NumberProfile:
    """A column of numbers in the reference.

    Attributes:
        name: the column; `p.<class>` or `value` for a prediction.
        role: what the column is to the model.
        edges: the inner edges of the grid, ascending.
        counts: the reference's rows on that grid.
        dependence: how the values hang together over time.
        missing_dependence: how missing values do.
    """

    name: str
    role: Role
    edges: tuple[float, ...]
    counts: NumberCounts
    dependence: Dependence = INDEPENDENT
    missing_dependence: Dependence = INDEPENDENT


@dataclass(frozen=True)
class CategoryProfile:
    """A column of categories in the reference.

    Attributes:
        name: the column.
        role: what the column is to the model.
        hashed: whether there were too many distinct values to name them, so that hash buckets are counted instead.
        counts: the reference's rows per category or bucket.
        dependence: how the values hang together over time.
        missing_dependence: how missing values do.
    """

    name: str
    role: Role
    hashed: bool
    counts: CategoryCounts
    dependence: Dependence = INDEPENDENT
    missing_dependence: Dependence = INDEPENDENT


ColumnProfile = NumberProfile | CategoryProfile
ColumnCounts = NumberCounts | CategoryCounts


@dataclass(frozen=True)
class Answers:
    """Answers of the model on rows that it was *not* fitted on.

    A model is surer of rows that it has learned from: a profile of those answers would make every window look drifted.

    Attributes:
        values: probabilities [rows, classes], or values [rows] of a regression.
        classes: the classes in the order of `values`; empty for a regression.
        times: the rows' times, None where they have none.
    """

    values: Floats
    classes: tuple[str, ...] = ()
    times: Any = None

    def columns(self) -> Iterator[tuple[str, Floats]]:
        """The answers as columns, named as in the inference log.

        Of two classes only the second is kept: the other is its complement, and would be tested twice.
        """
        if not self.classes:
            yield "value", np.asarray(self.values, dtype=np.float64)
            return
        for index in range(1 if len(self.classes) == 2 else 0, len(self.classes)):
            yield f"p.{self.classes[index]}", np.asarray(self.values[:, index], dtype=np.float64)


@dataclass(frozen=True)
class Profile:
    """The reference: `columns` holds the features in the model's order, then the predictions, then the label."""

    rows: int
    columns: tuple[ColumnProfile, ...]

    def column(self, name: str, role: Role = "feature") -> ColumnProfile:
        """The profile of one column.

        Raises:
            KeyError: there is no such column of that role.
        """
        for column in self.columns:
            if (column.name, column.role) == (name, role):
                return column
        raise KeyError(f"{role} {name}")

    def to_json(self) -> dict[str, Any]:
        """The profile as a mapping that JSON can hold; the same profile always gives the same text."""
        columns = [{"kind": _kind(column), **asdict(column)} for column in self.columns]
        return {"format": _FORMAT, "rows": self.rows, "columns": columns}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Profile:
        """The profile that `to_json` wrote.

        Raises:
            UnreadableProfile: the document is not one, or of another format.
        """
        if document.get("format") != _FORMAT:
            raise UnreadableProfile(f"its format is {document.get('format')!r}, this version reads {_FORMAT}")
        try:
            return cls(rows=document["rows"], columns=tuple(_column_from_json(each) for each in document["columns"]))
        except (KeyError, TypeError) as error:
            raise UnreadableProfile(f"{type(error).__name__}: {error}") from error


@dataclass(frozen=True)
class Counts:
    """A stretch of rows, counted on a profile's grids.

    Attributes:
        rows: how many there are.
        columns: by role and name. A feature that the rows lack is missing in every row: the model would see it so.
            A prediction that the rows lack is left out.
        first: the time of the oldest row, None where times are not known.
        last: the time of the newest row.
    """

    rows: int
    columns: Mapping[tuple[Role, str], ColumnCounts]
    first: datetime | None = None
    last: datetime | None = None

    @property
    def hours(self) -> float | None:
        """From the oldest row to the newest; None where times are not known, or all are one."""
        if self.first is None or self.last is None or self.first == self.last:
            return None
        return (self.last - self.first).total_seconds() / 3600

    def __add__(self, other: Counts) -> Counts:
        """The counts of both stretches, which must have been counted with one profile and hold the same columns."""
        if self.columns.keys() != other.columns.keys():
            raise ValueError("counts of different columns do not add up")
        return Counts(
            rows=self.rows + other.rows,
            columns={key: counts + other.columns[key] for key, counts in self.columns.items()},  # type: ignore[operator]
            first=min((time for time in (self.first, other.first) if time), default=None),
            last=max((time for time in (self.last, other.last) if time), default=None),
        )


def build_profile(
    frame: pd.DataFrame,
    columns: Sequence[Column],
    *,
    times: Any = None,
    answers: Answers | None = None,
    label: pd.Series | Floats | None = None,
) -> Profile:
    """The profile of a model's training rows. Deterministic: nothing in it is drawn.

    Args:
        frame: the model frame (numbers float64, categories text) of the training rows.
        columns: the features, in the order of the model.
        times: the rows' times; without them rows are taken as independent, and the report says so.
        answers: the model's answers on rows it was not fitted on; without them predictions are not watched.
        label: the training labels: float64 for a regression, text for a classification; kept, not tested.
    """
    blocks = None if times is None else time_blocks(times)
    features = [_feature_profile(frame[column.name], column, blocks) for column in columns]
    predictions = [] if answers is None else _prediction_profiles(answers)
    labels = [] if label is None else [_label_profile(label, blocks)]
    return Profile(rows=len(frame), columns=(*features, *predictions, *labels))


def count(profile: Profile, frame: pd.DataFrame, *, times: Any = None, answers: Answers | None = None) -> Counts:
    """The rows of a model frame, and the answers given to them, on the grids of `profile`."""
    given = {} if answers is None else dict(answers.columns())
    series: dict[tuple[Role, str], Any] = {
        ("feature", column.name): frame[column.name]
        for column in profile.columns
        if column.role == "feature" and column.name in frame.columns
    }
    series |= {("prediction", name): values for name, values in given.items()}
    return _count(profile, series, rows=len(frame), times=times)


def count_log(profile: Profile, log: pd.DataFrame, *, version: int | None = None) -> Counts:
    """Rows of the inference log (`x.<name>`, and `p.<class>` or `value`) on the grids of `profile`.

    Args:
        profile: the reference.
        log: served rows; all of them count as data.
        version: only the answers of this version count as predictions; another one's are not this one's drift.
    """
    answered = log if version is None or "version" not in log.columns else log[log["version"] == version]
    series: dict[tuple[Role, str], Any] = {}
    for column in profile.columns:
        if column.role == "feature" and f"x.{column.name}" in log.columns:
            series[column.role, column.name] = log[f"x.{column.name}"]
        elif column.role == "prediction" and column.name in answered.columns:
            series[column.role, column.name] = answered[column.name]
    return _count(profile, series, rows=len(log), times=log["time"] if "time" in log.columns else None)


def _count(profile: Profile, series: Mapping[tuple[Role, str], Any], *, rows: int, times: Any) -> Counts:
    counts: dict[tuple[Role, str], ColumnCounts] = {}
    for column in profile.columns:
        key = (column.role, column.name)
        if key in series:
            counts[key] = _column_counts(column, series[key])
        elif column.role == "feature":
            counts[key] = _all_missing(column, rows)
    if times is None or rows == 0:
        return Counts(rows=rows, columns=counts)
    moments = np.asarray(times, dtype="datetime64[us]")
    return Counts(rows=rows, columns=counts, first=_aware(moments.min()), last=_aware(moments.max()))


def _column_counts(column: ColumnProfile, values: Any) -> ColumnCounts:
    if isinstance(column, CategoryProfile):
        return count_categories(values, hashed=column.hashed)
    return count_numbers(_as_floats(values), column.edges, low=column.counts.minimum, high=column.counts.maximum)


def _all_missing(column: ColumnProfile, rows: int) -> ColumnCounts:
    if isinstance(column, CategoryProfile):
        return CategoryCounts(values={}, missing=rows)
    return count_numbers(np.full(rows, np.nan), column.edges)


def _feature_profile(values: pd.Series, column: Column, blocks: TimeBlocks | None) -> ColumnProfile:
    if column.is_category:
        return _category_profile(column.name, "feature", values, blocks)
    return _number_profile(column.name, "feature", _as_floats(values), blocks)


def _prediction_profiles(answers: Answers) -> list[ColumnProfile]:
    blocks = None if answers.times is None else time_blocks(answers.times)
    return [_number_profile(name, "prediction", values, blocks) for name, values in answers.columns()]


def _label_profile(label: pd.Series | Floats, blocks: TimeBlocks | None) -> ColumnProfile:
    if np.asarray(label).dtype.kind == "f":
        return _number_profile("label", "label", _as_floats(label), blocks)
    texts, counts = np.unique(np.asarray(label, dtype=str), return_counts=True)
    values = dict(zip(texts.tolist(), counts.tolist(), strict=True))
    return CategoryProfile("label", "label", hashed=False, counts=CategoryCounts(values, missing=0))


def _number_profile(name: str, role: Role, values: Floats, blocks: TimeBlocks | None) -> NumberProfile:
    present = np.isfinite(values)
    edges = grid_edges(values[present])
    counts = count_numbers(values, edges)
    scores = normal_scores(counts.bins)[np.searchsorted(edges, values[present], side="left")]
    return NumberProfile(
        name=name,
        role=role,
        edges=tuple(edges.tolist()),
        counts=counts,
        dependence=number_dependence(scores, blocks.part(present) if blocks else None),
        missing_dependence=missing_dependence(~present, blocks),
    )


def _category_profile(name: str, role: Role, values: pd.Series, blocks: TimeBlocks | None) -> CategoryProfile:
    codes, categories = values.factorize()  # the code of a missing value is -1
    present = codes >= 0
    return CategoryProfile(
        name=name,
        role=role,
        hashed=len(categories) > MOST_VALUES,
        counts=count_categories(values, hashed=len(categories) > MOST_VALUES),
        dependence=category_dependence(codes[present], len(categories), blocks.part(present) if blocks else None),
        missing_dependence=missing_dependence(~present, blocks),
    )


def _as_floats(values: Any) -> Floats:
    return np.asarray(values, dtype=np.float64)


def _aware(moment: np.datetime64) -> datetime:
    naive: datetime = moment.astype(datetime)
    return naive.replace(tzinfo=UTC)


def _kind(column: ColumnProfile) -> str:
    return "number" if isinstance(column, NumberProfile) else "category"


def _column_from_json(document: Mapping[str, Any]) -> ColumnProfile:
    counts = document["counts"]
    shared = {
        "name": document["name"],
        "role": document["role"],
        "dependence": Dependence(**document["dependence"]),
        "missing_dependence": Dependence(**document["missing_dependence"]),
    }
    if document["kind"] == "number":
        bins = tuple(counts["bins"])
        return NumberProfile(edges=tuple(document["edges"]), counts=NumberCounts(**{**counts, "bins": bins}), **shared)
    return CategoryProfile(hashed=document["hashed"], counts=CategoryCounts(**counts), **shared)
