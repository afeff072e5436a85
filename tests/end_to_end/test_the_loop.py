from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import numpy as np
import pandas as pd
import psutil
import pytest

ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

Command = Callable[..., subprocess.CompletedProcess[str]]


def free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a machine of its own: folders, databases and ports that nothing else uses."""
    folder = tmp_path_factory.mktemp("machine")
    prefect, mlflow = free_ports(2)
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "MLFLOW_", "EVERFRESH_"))
    }
    return kept | {
        "EVERFRESH_ROOT": str(ROOT),
        "EVERFRESH_HOME": str(folder / "home"),
        "EVERFRESH_PROJECTS": str(folder / "projects"),
        "EVERFRESH_REPORTS": str(folder / "reports"),
        "EVERFRESH_ARTIFACTS": str(folder / "artifacts"),
        "EVERFRESH_PREFECT_PORT": str(prefect),
        "EVERFRESH_MLFLOW_PORT": str(mlflow),
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}",
    }


@pytest.fixture(scope="module")
def everfresh(place: dict[str, str]) -> Iterator[Command]:
    def run(*words: str, expect: int = 0, seconds: float = 300) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", "from everfresh.cli import main; main()", *words]
        done = subprocess.run(
            command, env=place, cwd=ROOT, capture_output=True, text=True, timeout=seconds, check=False
        )
        assert done.returncode == expect, f"{words} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return done

    yield run
    run("down")
    home = place["EVERFRESH_HOME"]
    assert [process.pid for process in psutil.process_iter(["environ"]) if _belongs(process, home)] == []


def _belongs(process: psutil.Process, home: str) -> bool:
    environment = process.info["environ"] or {}
    return process.pid != os.getpid() and environment.get("EVERFRESH_HOME") == home


@pytest.fixture(scope="module")
def flights_slice(place: dict[str, str]) -> str:
    """The flights of one airline in five months, with a check every other week."""
    projects = Path(place["EVERFRESH_PROJECTS"])
    projects.mkdir()
    (projects / "slice_table.py").write_text(
        f"import sys\nsys.path.insert(0, {str(ROOT / 'projects')!r})\n"
        "from flights_table import load as load_all\n\n\n"
        "def load():\n"
        "    table = load_all()\n"
        "    return table[(table['carrier'] == 'B6') & (table['scheduled_at'] < '2013-06-01')]\n",
        encoding="utf-8",
    )
    text = (ROOT / "projects" / "flights.yaml").read_text(encoding="utf-8")
    changes = {
        "name: flight-delays": "name: slice",
        "flights_table:load": "slice_table:load",
        "port: 8080": f"port: {free_ports(1)[0]}",
        '"0 6 * * 1"': '"0 6 1,15 * *"',
        "max_iter: 150": "max_iter: 30",
        "older_than: 60d": "older_than: 40d",
        "at_least_labels: 10000": "at_least_labels: 2000",
        "metric: log_loss, margin: -0.02, confidence: 0.9": "metric: log_loss, margin: -0.5, confidence: 0.9",
        "at_least: 0.5}": "at_least: 0.2}",
        "kind: beats_baseline, metric: log_loss, margin: -0.02": "kind: beats_baseline, metric: log_loss, margin: -0.5",
        "p99_ms: 50": "p99_ms: 2000",
    }
    for old, new in changes.items():
        assert old in text, old
        text = text.replace(old, new)
    (projects / "slice.yaml").write_text(text, encoding="utf-8")
    return "slice"


@pytest.fixture(scope="module")
def replayed(everfresh: Command, flights_slice: str, place: dict[str, str]) -> dict:
    """A whole turn of the loop, as `make run` makes it."""
    everfresh("check", flights_slice)
    told = everfresh("run", flights_slice, "--train-until", "2013-03-01", "--json").stdout
    report = json.loads(told)
    assert json.loads((Path(place["EVERFRESH_REPORTS"]) / "run.json").read_text()) == report
    return report


def test_every_month_says_what_served_and_how_well(replayed: dict) -> None:
    assert [month["month"] for month in replayed["months"]] == ["2013-03", "2013-04", "2013-05"]
    for month in replayed["months"]:
        assert month["rows"] > 3000
        assert month["drift"] in ("DRIFT", "OK", "INSUFFICIENT")
        for metric in ("roc_auc", "log_loss"):
            assert month[metric].keys() == {"served", "never_retrained", "majority"}
        assert month["roc_auc"]["served"] > month["roc_auc"]["majority"] == 0.5
        assert month["why"]


def test_the_model_was_retrained_and_the_newest_version_serves(replayed: dict) -> None:
    assert replayed["retrains"] >= 1
    assert replayed["promotions"] >= 1
    assert replayed["months"][0]["served_version"] == 1
    assert replayed["months"][-1]["served_version"] > 1


def test_the_addresses_answer(replayed: dict) -> None:
    pages = replayed["addresses"]
    assert httpx.get(pages["Prefect"], headers={"accept": "text/html"}, follow_redirects=True).status_code == 200
    assert httpx.get(pages["MLflow"]).status_code == 200
    assert httpx.get(pages["endpoint"].removesuffix("/infer")).json()["name"] == "slice"


def test_the_endpoint_answers_as_the_batch_does(
    replayed: dict, everfresh: Command, flights_slice: str, tmp_path
) -> None:
    file = tmp_path / "scores.parquet"
    everfresh("score", flights_slice, "--output", str(file))
    scored = pd.read_parquet(file).set_index("flight_id").head(200)
    served = json.loads(everfresh("status", flights_slice, "--json").stdout)
    assert served["in_step"]
    sys.path.insert(0, str(ROOT / "projects"))
    from flights_table import load

    from everfresh.serving.client import Endpoint

    table = load().set_index("flight_id").loc[scored.index]
    with Endpoint(replayed["addresses"]["endpoint"].partition("/v2/")[0]) as endpoint:
        columns = list(endpoint.model("slice").columns)
        answer = endpoint.predict("slice", table[columns], record=False).answer
    np.testing.assert_allclose(answer, scored[["p.0", "p.1"]].to_numpy(), rtol=0, atol=1e-9)


def test_a_rollback_brings_the_previous_champion_back_and_again_forward(replayed: dict, everfresh: Command) -> None:
    model = replayed["addresses"]["endpoint"].removesuffix("/infer")
    champion = int(httpx.get(model).json()["versions"][0])
    back = json.loads(everfresh("rollback", "slice", "--reason", "a test", "--json").stdout)
    assert back["status"] == "rolled_back"
    assert back["serving"] < champion
    assert httpx.get(model).json()["versions"] == [str(back["serving"])]
    forward = json.loads(everfresh("deploy", "slice", "--version", str(champion), "--json").stdout)
    assert forward["status"] == "waiting"  # what was rolled back comes back only if a person says so
    again = ("deploy", "slice", "--version", str(champion), "--approved-by", "Ann", "--json")
    forward = json.loads(everfresh(*again).stdout)
    assert (forward["status"], forward["serving"]) == ("promoted", champion)


def test_a_check_without_traffic_is_insufficient_and_no_alarm(replayed: dict, everfresh: Command) -> None:
    report = json.loads(everfresh("monitor", "slice", "--json").stdout)
    assert report["status"] == "INSUFFICIENT"


def test_training_twice_on_the_same_rows_makes_no_new_version(replayed: dict, everfresh: Command) -> None:
    first = json.loads(everfresh("train", "slice", "--json").stdout)
    second = json.loads(everfresh("train", "slice", "--json").stdout)
    assert first["version"] == second["version"]


def test_another_table_comes_in_with_ten_lines(everfresh: Command, place: dict[str, str]) -> None:
    random = np.random.default_rng(7)
    rows = 3000
    usage = random.gamma(2.0, 50.0, rows)
    table = pd.DataFrame(
        {
            "customer_id": [f"c-{number}" for number in range(rows)],
            "signed_up_at": pd.date_range("2025-01-01", periods=rows, freq="2h"),
            "plan": random.choice(["free", "pro", "team"], rows),
            "usage": usage,
            "seats": random.integers(1, 40, rows),
            "churned": np.where(random.random(rows) < 1 / (1 + np.exp(usage / 40 - 2)), "yes", "no"),
        }
    )
    table.loc[random.random(rows) < 0.05, "usage"] = np.nan
    projects = Path(place["EVERFRESH_PROJECTS"])
    table.to_csv(projects / "churn.csv", index=False)
    port = free_ports(1)[0]
    (projects / "churn.yaml").write_text(
        "name: churn\ntask: classification\ndata:\n  source: {kind: csv, path: churn.csv}\n  label: churned\n"
        "  time_column: signed_up_at\n  id_column: customer_id\n"
        f"targets:\n  - {{kind: local, port: {port}}}\n",
        encoding="utf-8",
    )
    trained = json.loads(everfresh("train", "churn", "--json").stdout)
    assert trained["status"] == "waiting", trained
    deployed = json.loads(everfresh("deploy", "churn", "--json").stdout)
    assert (deployed["status"], deployed["serving"]) == ("promoted", 1)
    asked = {"dataframe_records": [{"plan": "pro", "usage": 10.0, "seats": 3}]}
    answered = httpx.post(f"http://127.0.0.1:{port}/invocations", json=asked)
    assert answered.json()["predictions"][0] in ("yes", "no")


def test_up_serves_until_it_is_interrupted_and_leaves_no_process(
    replayed: dict, everfresh: Command, place: dict[str, str]
) -> None:
    everfresh("down")
    command = [sys.executable, "-c", "from everfresh.cli import main; main()", "up"]
    with subprocess.Popen(
        command, env=place, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as up:
        assert up.stdout is not None
        told = []
        for line in up.stdout:
            told.append(line)
            if "Ctrl-C" in line:
                break
        assert any("slice" in line for line in told), told
        assert httpx.get(replayed["addresses"]["endpoint"].removesuffix("/infer")).status_code == 200
        deployments = httpx.post(f"{replayed['addresses']['Prefect']}/api/deployments/filter", json={}).json()
        assert {"train", "deploy", "monitor", "retrain", "rollback", "score"} <= {
            each["entrypoint"].rpartition(":")[2] for each in deployments
        }
        second = everfresh("up")
        assert "It is up already" in second.stderr
        assert replayed["addresses"]["Prefect"] in second.stdout
        up.send_signal(signal.SIGINT)
        up.communicate(timeout=60)
        assert up.returncode == 0
    deadline = time.monotonic() + 10
    while left := [p.pid for p in psutil.process_iter(["environ"]) if _belongs(p, place["EVERFRESH_HOME"])]:
        assert time.monotonic() < deadline, left
        time.sleep(0.2)
