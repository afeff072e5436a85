"""Commands as processes of their own, with the checkout's real flows."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from everfresh.registry.store import Registry
from everfresh.settings import Settings
from everfresh.testing.projects import open_in_memory, train, write_project

Run = Callable[..., Any]
Start = Callable[..., "subprocess.Popen[str]"]

SLEEPY = """
import time
from pathlib import Path
from sklearn.linear_model import LogisticRegression

DIARY = Path(__file__).with_name("fits.txt")


class Sleepy(LogisticRegression):
    def fit(self, X, y):
        fits = DIARY.read_text().count("fit") if DIARY.exists() else 0
        DIARY.write_text("fit " * (fits + 1))
        time.sleep({quick} if fits + 1 < {slow_from} else {slow})
        return super().fit(X, y)


def make(**params):
    return Sleepy(**params)
"""


def fits(place: Settings) -> int:
    file = place.projects / "fits.txt"
    return file.read_text().count("fit") if file.exists() else 0


def await_fits(place: Settings, count: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 90
    while fits(place) < count:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def statuses(place: Settings) -> list[str]:
    """Of all runs that are not those of trials."""
    client = Registry(place).client
    experiment = client.get_experiment_by_name("rides")
    found = client.search_runs([experiment.experiment_id]) if experiment else []
    return [run.info.status for run in found if "mlflow.parentRunId" not in run.data.tags]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fit", "runs"),
    [
        pytest.param(1, [], id="in the search"),
        pytest.param(4, ["FAILED"], id="in the last fit"),
    ],
)
def test_ctrl_c_in_the_middle_of_a_training_ends_it(
    start: Start, place: Settings, table: pd.DataFrame, fit: int, runs: list[str]
) -> None:
    candidate = {"name": "sleepy", "estimator": "sleepy:make", "params": {"C": [0.1, 1.0, 10.0]}}
    write_project(place.projects, table, training={"candidates": [candidate]})
    slow = 2 if fit == 1 else 60  # a thread finishes the fit that it is at
    (place.projects / "sleepy.py").write_text(SLEEPY.format(quick=0, slow_from=fit, slow=slow))
    process = start("train", "rides")
    await_fits(place, fit, process)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)

    assert process.returncode == 130
    assert out == ""
    assert "Traceback" not in err
    assert err.splitlines()[-1] == "Interrupted."
    assert fits(place) == fit  # no other trial was begun
    assert statuses(place) == runs


def test_a_prefect_server_that_does_not_answer_is_said_in_a_sentence(
    finish: Run, place: Settings, table: pd.DataFrame
) -> None:
    write_project(place.projects, table)
    ended = finish("train", "rides", PREFECT_API_URL="http://127.0.0.1:9/api")

    assert ended.code == 1
    assert ended.err.startswith("Prefect at http://127.0.0.1:9/api cannot be reached. Start it, or unset")


def test_outside_of_a_checkout_there_are_no_flows(
    finish: Run, place: Settings, table: pd.DataFrame, tmp_path: Path
) -> None:
    write_project(place.projects, table)
    ended = finish("train", "rides", EVERFRESH_ROOT=str(tmp_path))

    assert ended.code == 1
    assert ended.err.startswith(f"There is no flows/ in {tmp_path}.")


@pytest.mark.slow
def test_a_port_that_another_program_has_is_said_in_a_sentence_and_nothing_is_promoted(
    finish: Run, place: Settings, table: pd.DataFrame
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        file = write_project(place.projects, table, targets=[{"kind": "local", "port": port}])
        version, _ = train(open_in_memory(file, place))
        ended = finish("deploy", "rides")

    assert ended.code == 1
    assert "Traceback" not in ended.err
    assert f"cannot listen on 127.0.0.1:{port}" in ended.err.splitlines()[-1]
    assert Registry(place).champion("rides") is None
    assert Registry(place).challenger("rides") == version


@pytest.mark.slow
def test_what_goes_wrong_within_a_flow_is_said_in_a_sentence(finish: Run, place: Settings, table: pd.DataFrame) -> None:
    write_project(place.projects, table.assign(late="yes"))
    ended = finish("train", "rides")

    assert ended.code == 1
    assert ended.out == ""
    assert ended.err.splitlines()[-1].startswith("All 1,600 labels in 'late' are 'yes'")
    assert "Traceback" not in ended.err
