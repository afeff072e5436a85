"""A project: one model problem, one file."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from everfresh.spec.data import DataSpec
from everfresh.spec.fields import Name, Section, refuse_empty
from everfresh.spec.inference_log import InferenceLogSpec
from everfresh.spec.metrics import DEFAULT_METRIC, Metric, Task
from everfresh.spec.monitoring import MonitoringSpec, RetrainingSpec
from everfresh.spec.promotion import BeatsBaselineGate, BeatsChampionGate, Gate, ParityGate, PromotionSpec, ServableGate
from everfresh.spec.targets import LocalTargetSpec, TargetSpec
from everfresh.spec.training import CandidateSpec, TrainingSpec


class ProjectSpec(Section):
    """What one model is, from its table to the places where it serves."""

    name: Name = Field(description="The project's name, which is also the model's in the registry and on every target.")
    task: Task = Field(description="Whether a class or a number is predicted.")
    data: DataSpec = Field(description="The table that the model learns from.")
    training: TrainingSpec = Field(TrainingSpec(), description="How the challenger is found.")
    promotion: PromotionSpec = Field(PromotionSpec(), description="What a challenger must show before it may serve.")
    targets: Annotated[tuple[TargetSpec, ...], AfterValidator(refuse_empty)] = Field(
        (LocalTargetSpec(kind="local"),), description="Where it serves; the first one is watched."
    )
    inference_log: InferenceLogSpec = Field(InferenceLogSpec(), description="What is kept of requests and answers.")
    monitoring: MonitoringSpec = Field(MonitoringSpec(), description="How production is watched.")
    retraining: RetrainingSpec = Field(RetrainingSpec(), description="When the model is trained anew.")

    @property
    def primary_metric(self) -> Metric:
        """The metric by which candidates are compared."""
        return self.training.primary_metric or DEFAULT_METRIC[self.task]

    @property
    def candidates(self) -> tuple[CandidateSpec, ...]:
        """The candidates, or a linear model and gradient boosting where the spec names none."""
        return self.training.candidates or _DEFAULT_CANDIDATES[self.task]

    @property
    def gates(self) -> tuple[Gate, ...]:
        """The gates, or the four that suit every model where the spec names none; `gates: []` means none."""
        if self.promotion.gates is not None:
            return self.promotion.gates
        return (
            BeatsBaselineGate(kind="beats_baseline", metric=self.primary_metric),
            BeatsChampionGate(kind="beats_champion", metric=self.primary_metric),
            ParityGate(kind="parity", at_most=1e-6),
            ServableGate(kind="servable"),
        )

    @property
    def hash(self) -> str:
        """The content of the spec in 12 hexadecimal digits: two files that say the same have the same hash.

        The order of keys says nothing, and neither does writing down a default.
        """
        content = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:12]


def _candidate(name: str, estimator: str, **params: list[float]) -> CandidateSpec:
    return CandidateSpec.model_validate({"name": name, "estimator": estimator, "params": params})


_DEFAULT_CANDIDATES: dict[Literal["classification", "regression"], tuple[CandidateSpec, ...]] = {
    "classification": (
        _candidate("logistic", "sklearn.linear_model.LogisticRegression", C=[0.1, 1.0, 10.0]),
        _candidate("boosting", "sklearn.ensemble.HistGradientBoostingClassifier", learning_rate=[0.05, 0.1]),
    ),
    "regression": (
        _candidate("ridge", "sklearn.linear_model.Ridge", alpha=[0.1, 1.0, 10.0]),
        _candidate("boosting", "sklearn.ensemble.HistGradientBoostingRegressor", learning_rate=[0.05, 0.1]),
    ),
}
