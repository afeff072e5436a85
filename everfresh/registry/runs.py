"""MLflow runs: one for each training, a child run for each trial, and what a reader of the UI wants to see there."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.metadata import version as installed_version
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING

from everfresh.registry.artifacts import artifacts_of, reaching
from everfresh.registry.connection import MlflowClient, MlflowException, experiment_id, mlflow
from everfresh.registry.store import BUNDLE, LONGEST_TEXT
from everfresh.registry.versions import Scores

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    import pandas as pd
    from sklearn.pipeline import Pipeline

# MLflow's limits: of one batch, and of one value.
_PARAMS_PER_BATCH = 100
_LONGEST_PARAM = 6000


@dataclass(frozen=True)
class TrialRecord:
    """One trial as MLflow keeps it: `error` is the first line of what went wrong, where something did."""

    name: str
    params: Mapping[str, object]
    scores: Scores
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
    run = client.create_run(experiment, run_name=record.run_name, tags=_short(record.tags))
    run_id = str(run.info.run_id)
    try:
        _log(client, run_id, params=record.params)
        yield run_id
    except BaseException:
        with suppress(MlflowException):  # what went wrong is the other error
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
        child = client.create_run(experiment, run_name=trial.name, tags=_short(tags)).info.run_id
        _log(client, child, params=trial.params, scores={**_plain(trial.scores), "seconds": trial.seconds})
        client.set_terminated(child, "FAILED" if trial.error else "FINISHED")


def log_scores(client: MlflowClient, run_id: str, scores: Scores, prefix: str = "") -> None:
    """Metrics; what is not a number is left out: a database of metrics cannot hold it everywhere."""
    _log(client, run_id, scores={f"{prefix}{name}": value for name, value in scores.items()})


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
    client = MlflowClient()
    experiment = client.get_run(run_id).info.experiment_id
    with warnings.catch_warnings(), reaching(artifacts_of(client, run_id)):
        warnings.simplefilter("ignore")  # MLflow warns of integer columns and of its own deprecations
        # Made here and given by its id: an active run would be finished when this returns, though more is to come.
        model = client.create_logged_model(experiment, name="model", source_run_id=run_id)
        mlflow.sklearn.log_model(
            pipeline,
            model_id=model.model_id,
            run_id=run_id,
            serialization_format="skops",
            skops_trusted_types=list(trusted),
            signature=mlflow.models.infer_signature(frame, predictions),
            input_example=frame.head(5),
            # Given rather than inferred: the inference starts a process and takes 20 seconds.
            pip_requirements=[f"{name}=={installed_version(name)}" for name in ("scikit-learn", "skops", "pandas")],
        )


def log_files(client: MlflowClient, run_id: str, bundle: Path, texts: Mapping[str, str]) -> None:
    """The bundle, and small files by name, such as the model card and the verdict."""
    with reaching(artifacts_of(client, run_id)):
        client.log_artifacts(run_id, str(bundle), BUNDLE)
    log_texts(client, run_id, texts)


def log_texts(client: MlflowClient, run_id: str, texts: Mapping[str, str]) -> None:
    """Small text files by name."""
    with tempfile.TemporaryDirectory(prefix="everfresh-") as directory, reaching(artifacts_of(client, run_id)):
        for name, text in texts.items():
            file = Path(directory) / name
            file.write_text(text, encoding="utf-8")
            client.log_artifact(run_id, str(file))


def _log(
    client: MlflowClient,
    run_id: str,
    *,
    params: Mapping[str, object] | None = None,
    scores: Mapping[str, float] | None = None,
) -> None:
    """Parameters and metrics in as few writes as MLflow takes."""
    now = int(mlflow.utils.time.get_current_time_millis())
    written = [mlflow.entities.Param(name, str(value)[:_LONGEST_PARAM]) for name, value in (params or {}).items()]
    metrics = [
        mlflow.entities.Metric(name, float(value), now, 0) for name, value in (scores or {}).items() if isfinite(value)
    ]
    for start in range(0, max(len(written), 1), _PARAMS_PER_BATCH):
        batch = written[start : start + _PARAMS_PER_BATCH]
        if batch or metrics:
            client.log_batch(run_id, metrics=metrics, params=batch)
        metrics = []


def _plain(scores: Scores) -> dict[str, float]:
    return dict(scores.items())


def _short(tags: Mapping[str, str]) -> dict[str, str]:
    return {key: value[:LONGEST_TEXT] for key, value in tags.items()}
