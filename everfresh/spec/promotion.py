"""What a challenger must show before it may serve."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from everfresh.spec.fields import Confidence, Section
from everfresh.spec.metrics import Metric


class _Limit(Section):
    """A metric with exactly one limit, in the direction in which the metric gets worse."""

    metric: Metric
    at_least: float | None = None
    at_most: float | None = None

    @model_validator(mode="after")
    def _has_one_limit(self) -> _Limit:
        if (self.at_least is None) == (self.at_most is None):
            raise ValueError("give at_least or at_most, exactly one of them")
        return self


class ThresholdGate(_Limit):
    """The metric on the holdout keeps a limit."""

    kind: Literal["threshold"]


class BeatsChampionGate(Section):
    """Better than the champion by more than `margin`, on the same rows, by a paired bootstrap."""

    kind: Literal["beats_champion"]
    metric: Metric
    margin: float = 0.0
    confidence: Confidence = 0.95


class BeatsBaselineGate(Section):
    """Better than a model that knows only the labels (the majority, the prior, the mean)."""

    kind: Literal["beats_baseline"]
    metric: Metric
    margin: float = 0.0


class SliceGate(_Limit):
    """The metric keeps a limit in every group of `by` that has at least `at_least_rows` rows."""

    kind: Literal["slice"]
    by: str
    at_least_rows: int = Field(200, ge=2)


class CalibrationGate(Section):
    """Predicted probabilities are true frequencies: the expected calibration error stays below `at_most`."""

    kind: Literal["calibration"]
    at_most: float = Field(gt=0, lt=1)


class ParityGate(Section):
    """The bundle answers as the fitted model does: the largest difference over the golden rows."""

    kind: Literal["parity"]
    at_most: float = Field(ge=0)


class ServableGate(Section):
    """The real inference server boots with the bundle and answers real rows, each within `p99_ms`."""

    kind: Literal["servable"]
    p99_ms: float = Field(50.0, gt=0)


Gate = Annotated[
    ThresholdGate | BeatsChampionGate | BeatsBaselineGate | SliceGate | CalibrationGate | ParityGate | ServableGate,
    Field(discriminator="kind"),
]


class PromotionSpec(Section):
    """Who or what says yes. With `approval: required` a person does, after the gates."""

    approval: Literal["automatic", "required"] = "automatic"
    gates: tuple[Gate, ...] | None = None
