"""What a challenger must show before it may serve."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from everfresh.spec.fields import ColumnName, Confidence, Number, Section, Whole
from everfresh.spec.metrics import Metric, possible_scores

_METRIC = "The metric that is judged."
_MARGIN = "By how much it must be better; 0 means better at all, a negative margin means not much worse."


class _Limit(Section):
    """A metric with exactly one limit: usually in the direction in which the metric gets worse.

    The other direction is meant too: a `roc_auc` of `at_most: 0.99` refuses what is too good to be true.
    """

    metric: Metric = Field(description=_METRIC)
    at_least: Number | None = Field(None, description="The smallest score that passes.")
    at_most: Number | None = Field(None, description="The largest score that passes.")

    @field_validator("at_least", "at_most")
    @classmethod
    def _can_be_met(cls, limit: float | None, seen: ValidationInfo) -> float | None:
        metric = seen.data.get("metric")
        if limit is not None and metric is not None:
            lowest, highest = possible_scores(metric)
            if not lowest <= limit <= highest:
                raise ValueError(f"{metric} lies {_stretch(lowest, highest)}")
        return limit

    @model_validator(mode="after")
    def _has_one_limit(self) -> _Limit:
        if (self.at_least is None) == (self.at_most is None):
            raise ValueError("give at_least or at_most, exactly one of them")
        return self


class _Margin(Section):
    """A metric that must be better by more than a margin."""

    metric: Metric = Field(description=_METRIC)
    margin: Number = Field(0.0, description=_MARGIN)

    @field_validator("margin")
    @classmethod
    def _can_be_met(cls, margin: float, seen: ValidationInfo) -> float:
        metric = seen.data.get("metric")
        if metric is not None:
            lowest, highest = possible_scores(metric)
            if margin >= highest - lowest:
                raise ValueError(
                    f"{metric} lies {_stretch(lowest, highest)}: nothing is better by more than {margin:g}"
                )
        return margin


class ThresholdGate(_Limit):
    """The metric on the holdout keeps a limit."""

    kind: Literal["threshold"] = Field(description="The metric on the holdout keeps a limit.")


class BeatsChampionGate(_Margin):
    """Better than the champion by more than `margin`, on the same rows, by a paired bootstrap."""

    kind: Literal["beats_champion"] = Field(description="Better than the champion, on the same rows.")
    confidence: Confidence = Field(0.95, description="How sure the improvement must be, from 0.5 to below 1.")


class BeatsBaselineGate(_Margin):
    """Better than a model that knows only the labels (the prior, the mean)."""

    kind: Literal["beats_baseline"] = Field(description="Better than a model that knows only the labels.")


class SliceGate(_Limit):
    """The metric keeps a limit in every group of `by` that has at least `at_least_rows` rows."""

    kind: Literal["slice"] = Field(description="The metric keeps a limit in every large group of a column.")
    by: ColumnName = Field(description="The column whose values are the groups; numbers are cut into quarters.")
    at_least_rows: Whole = Field(200, ge=2, description="Smaller groups are not judged.")


class CalibrationGate(Section):
    """Predicted probabilities are true frequencies: the expected calibration error stays below `at_most`."""

    kind: Literal["calibration"] = Field(description="Predicted probabilities are true frequencies.")
    at_most: Number = Field(gt=0, lt=1, description="The largest expected calibration error that passes.")


class ParityGate(Section):
    """The bundle answers as the fitted model does: the largest difference over the golden rows."""

    kind: Literal["parity"] = Field(description="The bundle answers as the fitted model does.")
    at_most: Number = Field(ge=0, description="The largest difference that passes.")


class ServableGate(Section):
    """The real inference server boots with the bundle and answers real rows, each within `p99_ms`."""

    kind: Literal["servable"] = Field(description="The real server boots with the bundle and answers real rows.")
    p99_ms: Number = Field(50.0, gt=0, description="How long 99 of 100 answers may take, in milliseconds.")


Gate = Annotated[
    ThresholdGate | BeatsChampionGate | BeatsBaselineGate | SliceGate | CalibrationGate | ParityGate | ServableGate,
    Field(discriminator="kind"),
]


class PromotionSpec(Section):
    """Who or what says yes. With `approval: required` a person does, after the gates."""

    approval: Literal["automatic", "required"] = Field(
        "automatic", description="Whether a person must say yes after the gates."
    )
    gates: tuple[Gate, ...] | None = Field(
        None, description="What a challenger must show; four gates where it is left out, none where it is []."
    )


def _stretch(lowest: Any, highest: Any) -> str:
    if lowest == -float("inf"):
        return f"at or below {highest:g}"
    return f"at or above {lowest:g}" if highest == float("inf") else f"between {lowest:g} and {highest:g}"
