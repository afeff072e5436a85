import shutil
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from everfresh.data.frames import model_frame
from everfresh.evaluation.metrics import Answer
from everfresh.loop.servable import try_serving
from everfresh.loop.workspace import Workspace
from everfresh.packaging.batch import batch_of
from everfresh.packaging.bundle import Bundle
from everfresh.packaging.scorer import open_scorer

pytestmark = pytest.mark.slow


def servers() -> set[int]:
    """The inference servers that were started for a trial."""
    found = set()
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if "everfresh.serving" in words and any("everfresh-servable-" in word for word in words):
            found.add(process.pid)
    return found


@pytest.fixture
def trial(workspace: Workspace, table: object) -> tuple[Bundle, object, Answer]:
    bundle = workspace.bundle(workspace.registry.load_champion("rides"))
    frame = model_frame(table.head(40), bundle.manifest.columns)  # type: ignore[attr-defined]
    return bundle, frame, open_scorer(bundle).score(batch_of(frame, bundle.manifest.columns))


def test_a_good_bundle_is_served_and_no_server_is_left(trial: tuple[Bundle, object, Answer]) -> None:
    before = servers()
    bundle, frame, answer = trial
    tried = try_serving(bundle, frame, answer)  # type: ignore[arg-type]

    assert tried.error == ""
    assert (tried.requests, tried.failures) == (40, 0)
    assert tried.p99_ms is not None
    assert 0 < tried.p99_ms < 5000
    assert servers() <= before


def test_answers_of_another_model_are_failures(trial: tuple[Bundle, object, Answer]) -> None:
    bundle, frame, answer = trial
    tried = try_serving(bundle, frame, answer[:, ::-1])  # type: ignore[arg-type]

    assert tried.error == ""
    assert tried.failures == 40


def test_a_damaged_bundle_is_not_served_and_no_server_is_left(
    trial: tuple[Bundle, object, Answer], tmp_path: Path
) -> None:
    before = servers()
    bundle, frame, answer = trial
    directory = tmp_path / "damaged"
    shutil.copytree(bundle.directory, directory)
    (directory / "model.onnx").write_bytes(b"not a model")
    tried = try_serving(replace(bundle, directory=directory), frame, answer)  # type: ignore[arg-type]

    assert tried.requests == 0
    assert tried.p99_ms is None
    assert "model.onnx holds other bytes" in tried.error
    assert servers() <= before
