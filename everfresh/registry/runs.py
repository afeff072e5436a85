"""MLflow runs: one for each training, a child run for each trial, and what a reader of the UI wants to see there."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from everfresh.registry.connection import MlflowClient, experiment_id, mlflow
from everfresh.registry.store import BUNDLE

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    import pandas as pd
    from sklearn.pipeline import Pipeline

_LARGEST_PARAM = 500


@dataclass(frozen=True)
class TrialRecord:
    """One trial as MLflow keeps it: `error` is the first line of what went wrong, where something did."""

    name: str
    params: Mapping[str, object]
    scores: Mapping[str, float]
    seconds: float
    error: str | None = None


@dataclass(frozen=True)
class RunRecord:
    """What is known when a training run starts."""

    project: str
    run_name: str
    params: Mapping[str, object]
    tags: Mapping[str, str] = field(default_factory=dict)


@contextmanager
def training_run(client: MlflowClient, artifacts: str, record: RunRecord) -> Iterator[str]:
    """A run that ends FINISHED, or FAILED where the block raises; gives its id."""
    experiment = experiment_id(client, record.project, artifacts)
    run = client.create_run(experiment, run_name=record.run_name, tags=dict(record.tags))
    run_id = str(run.info.run_id)
    _log_params(client, run_id, record.params)
    try:
        yield run_id
    except BaseException:
        client.set_terminated(run_id, "FAILED")
        raise
    client.set_terminated(run_id, "FINISHED")


def log_trials(client: MlflowClient, run_id: str, trials: Sequence[TrialRecord]) -> None:
    """A child run for each trial, failed ones with their reason."""
    experiment = client.get_run(run_id).info.experiment_id
    for trial in trials:
        tags = {"mlflow.parentRunId": run_id}
        if trial.error:
            tags["everfresh.error"] = trial.error
        child = client.create_run(experiment, run_name=trial.name, tags=tags).info.run_id
        _log_params(client, child, trial.params)
        log_scores(client, child, {**trial.scores, "seconds": trial.seconds})
        client.set_terminated(child, "FAILED" if trial.error else "FINISHED")


def log_scores(client: MlflowClient, run_id: str, scores: Mapping[str, float], prefix: str = "") -> None:
    """Metrics; what is not a number is left out: a database of metrics cannot hold it everywhere."""
    now = _milliseconds()
    metrics = [
        mlflow.entities.Metric(f"{prefix}{name}", float(value), now, 0)
        for name, value in scores.items()
        if value == value and abs(value) != float("inf")
    ]
    client.log_batch(run_id, metrics=metrics)


def log_model(
    run_id: str, pipeline: Pipeline, frame: pd.DataFrame, predictions: np.ndarray, *, trusted: Sequence[str]
) -> None:
    """The fitted pipeline as an MLflow model, stored with skops, with its signature and an input example.

    Args:
        run_id: the training run.
        pipeline: the fitted pipeline.
        frame: a few rows as the pipeline reads them.
        predictions: its predictions for `frame`.
        trusted: the reviewed types that skops may build again.
    """
    signature = mlflow.models.infer_signature(frame, predictions)
    with mlflow.start_run(run_id=run_id), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow warns of integer columns and of its own deprecations
        mlflow.sklearn.log_model(
            pipeline,
            name="model",
            serialization_format="skops",
            skops_trusted_types=list(trusted),
            signature=signature,
            input_example=frame.head(5),
            # Given rather than inferred: the inference starts a process and takes 20 seconds.
            pip_requirements=[f"{name}=={installed_version(name)}" for name in ("scikit-learn", "skops", "pandas")],
        )


def log_files(client: MlflowClient, run_id: str, bundle: Path, texts: Mapping[str, str]) -> None:
    """The bundle, and small files by name, such as the model card and the verdict."""
    client.log_artifacts(run_id, str(bundle), BUNDLE)
    log_texts(client, run_id, texts)


def log_texts(client: MlflowClient, run_id: str, texts: Mapping[str, str]) -> None:
    """Small text files by name."""
    with tempfile.TemporaryDirectory(prefix="everfresh-") as directory:
        for name, text in texts.items():
            file = Path(directory) / name
            file.write_text(text, encoding="utf-8")
            client.log_artifact(run_id, str(file))


def _log_params(client: MlflowClient, run_id: str, params: Mapping[str, object]) -> None:
    items: Iterable[tuple[str, Any]] = params.items()
    batch = [mlflow.entities.Param(name, str(value)[:_LARGEST_PARAM]) for name, value in items]
    client.log_batch(run_id, params=batch)


def _milliseconds() -> int:
    return int(mlflow.utils.time.get_current_time_millis())
