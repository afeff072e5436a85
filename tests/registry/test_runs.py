from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import Pipeline

from everfresh.data.columns import Column
from everfresh.packaging.pipelines import REVIEWED_TYPES
from everfresh.registry.lineage import Lineage
from everfresh.registry.runs import (
    RunRecord,
    TrialRecord,
    log_files,
    log_model,
    log_scores,
    log_texts,
    log_trials,
    training_run,
)
from everfresh.registry.store import LONGEST_TEXT, Registry
from everfresh.training.pipeline import build_pipeline

RECORD = RunRecord("flights", "flights a1b2c3", {"candidates": "logistic, boosting"}, {"everfresh.mode": "replay"})


@pytest.fixture(scope="module")
def fitted() -> tuple[Pipeline, pd.DataFrame]:
    random = np.random.default_rng(3)
    rows = pd.DataFrame(
        {
            "distance": np.where(random.random(200) < 0.1, np.nan, random.uniform(0, 1000, 200)),
            "carrier": pd.Series(random.choice(["AA", "UA"], 200), dtype="str"),
        }
    )
    columns = (Column("distance", "float"), Column("carrier", "category"))
    labels = np.where(rows["distance"].fillna(0) > 500, "late", "on time").astype(object)
    return build_pipeline(HistGradientBoostingClassifier(max_iter=5), columns).fit(rows, labels), rows


def start(registry: Registry, record: RunRecord = RECORD) -> str:
    with training_run(registry.client, registry.settings.artifacts, record) as run_id:
        return run_id


def artifacts(registry: Registry, run_id: str, folder: str | None = None) -> set[str]:
    return {item.path for item in registry.client.list_artifacts(run_id, folder)}


def test_a_run_that_ends_well_is_finished_and_says_what_it_was(registry: Registry) -> None:
    run = registry.client.get_run(start(registry))
    assert (run.info.status, run.info.run_name) == ("FINISHED", "flights a1b2c3")
    assert run.data.params == {"candidates": "logistic, boosting"}
    assert run.data.tags["everfresh.mode"] == "replay"
    assert registry.client.get_experiment(run.info.experiment_id).name == "flights"


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt()])
def test_a_run_in_which_something_is_raised_has_failed(registry: Registry, error: BaseException) -> None:
    with pytest.raises(type(error)) as raised:
        run_that_raises(registry, error)
    assert raised.value is error
    [run] = registry.client.search_runs([registry.client.get_experiment_by_name("flights").experiment_id])
    assert run.info.status == "FAILED"


def test_the_first_error_is_told_where_mlflow_is_gone_too(registry: Registry) -> None:
    database = registry.settings.root / "mlruns" / "mlflow.db"
    with pytest.raises(ValueError, match="the first"):
        run_that_raises(registry, ValueError("the first"), before=lambda: damage(database))


def run_that_raises(registry: Registry, error: BaseException, before: Callable[[], None] = lambda: None) -> None:
    with training_run(registry.client, registry.settings.artifacts, RECORD):
        before()
        raise error


def damage(database: Path) -> None:
    database.write_bytes(b"not a database any more " * (database.stat().st_size // 24))


def test_each_trial_is_a_child_run_and_a_failed_one_says_why(registry: Registry) -> None:
    run_id = start(registry)
    log_trials(
        registry.client,
        run_id,
        [
            TrialRecord("logistic", {"C": 0.1}, {"roc_auc": 0.7, "log_loss": float("nan")}, 1.5),
            TrialRecord("boosting", {}, {}, 0.1, error="ValueError: " + "x" * 2 * LONGEST_TEXT),
        ],
    )
    parent = registry.client.get_run(run_id)
    children = registry.client.search_runs(
        [parent.info.experiment_id], f"tags.mlflow.parentRunId = '{run_id}'", order_by=["attributes.start_time"]
    )
    by_name = {child.info.run_name: child for child in children}
    well, failed = by_name["logistic"], by_name["boosting"]
    assert (well.info.status, well.data.params) == ("FINISHED", {"C": "0.1"})
    assert well.data.metrics == {"roc_auc": 0.7, "seconds": 1.5}
    assert failed.info.status == "FAILED"
    assert failed.data.tags["everfresh.error"].startswith("ValueError: xxx")
    assert len(failed.data.tags["everfresh.error"]) == LONGEST_TEXT


def test_what_is_no_number_is_left_out_of_the_metrics(registry: Registry) -> None:
    run_id = start(registry)
    scores = {"roc_auc": np.float64(0.7), "r2": float("-inf"), "log_loss": float("nan"), "rmse": 0}
    log_scores(registry.client, run_id, scores, prefix="holdout.")
    log_scores(registry.client, run_id, {"r2": float("nan")})
    assert registry.client.get_run(run_id).data.metrics == {"holdout.roc_auc": 0.7, "holdout.rmse": 0.0}


def test_many_and_long_parameters_are_kept(registry: Registry) -> None:
    params = {f"step__{number}": number for number in range(250)} | {"long": "x" * 10_000}
    kept = registry.client.get_run(start(registry, RunRecord("flights", "many", params))).data.params
    assert len(kept) == 251
    assert kept["step__249"] == "249"
    assert len(kept["long"]) == 6000


def test_files_are_beside_the_run(registry: Registry, tmp_path: Path) -> None:
    run_id = start(registry)
    bundle = tmp_path / "bundle-in-the-making"
    bundle.mkdir()
    (bundle / "bundle.json").write_text("{}")
    log_files(registry.client, run_id, bundle, {"model_card.md": "# flights"})
    log_texts(registry.client, run_id, {"verdict.json": "{}", "verdict.md": "## Verdict"})
    assert artifacts(registry, run_id) == {"bundle", "model_card.md", "verdict.json", "verdict.md"}
    assert artifacts(registry, run_id, "bundle") == {"bundle/bundle.json"}


def test_a_logged_model_loads_with_mlflow_and_answers_the_same(
    registry: Registry, fitted: tuple[Pipeline, pd.DataFrame], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # where MLflow would put what has no place
    pipeline, rows = fitted
    with training_run(registry.client, registry.settings.artifacts, RECORD) as run_id:
        log_model(run_id, pipeline, rows, pipeline.predict(rows), trusted=REVIEWED_TYPES)
        assert registry.client.get_run(run_id).info.status == "RUNNING"
    assert registry.client.get_run(run_id).info.status == "FINISHED"
    version = registry.register(
        "flights", run_id, Lineage("s", "d", "c", None, 1, None, None), bundle_digest="", description="", tags={}
    )
    registry.promote(version, "first")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of MLflow's own
        import mlflow.pyfunc

        for uri in ("models:/flights/1", "models:/flights@champion", f"runs:/{run_id}/model"):
            loaded = mlflow.pyfunc.load_model(uri)
            assert loaded.predict(rows).tolist() == pipeline.predict(rows).tolist()
    assert [column.name for column in loaded.metadata.signature.inputs] == ["distance", "carrier"]
    assert loaded.input_example["carrier"].tolist() == rows["carrier"].head(5).tolist()
    inside = Path(registry.settings.artifacts) / "flights" / "models"
    assert len(list(inside.glob("*/artifacts/MLmodel"))) == 1
    assert not (tmp_path / "mlruns").exists()
    directory = Path(mlflow.artifacts.download_artifacts("models:/flights/1"))
    assert (directory / "model.skops").exists()
    assert not list(directory.glob("*.pkl"))
    assert "scikit-learn==" in (directory / "requirements.txt").read_text()


def test_a_model_is_logged_in_well_under_a_second(registry: Registry, fitted: tuple[Pipeline, pd.DataFrame]) -> None:
    pipeline, rows = fitted
    seconds = []
    for _ in range(2):
        with training_run(registry.client, registry.settings.artifacts, RECORD) as run_id:
            started = time.process_time()
            log_model(run_id, pipeline, rows, pipeline.predict(rows), trusted=REVIEWED_TYPES)
            seconds.append(time.process_time() - started)
    assert min(seconds) < 1.0


def test_a_model_of_types_that_nobody_reviewed_is_not_logged(
    registry: Registry, fitted: tuple[Pipeline, pd.DataFrame]
) -> None:
    pipeline, rows = fitted
    with (
        pytest.raises(Exception, match="TreePredictor"),
        training_run(registry.client, registry.settings.artifacts, RECORD) as run_id,
    ):
        log_model(run_id, pipeline, rows, pipeline.predict(rows), trusted=())
