from __future__ import annotations

import json
import os
import subprocess
import sys
from argparse import ArgumentTypeError
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from deployments.to_pool import FLOWS, FOLDER, main, prefect_file, versioned
from everfresh.orchestration import FLOWS as ALL_FLOWS
from everfresh.spec.loading import load_spec
from everfresh.stack.prefect_api import WORK_POOL

ROOT = Path(__file__).parents[2]
IMAGE = "registry.example.org/everfresh:0.1.0"
TYPES = {"kubernetes": "kubernetes", "ecs": "ecs", "aci": "azure-container-instance"}


@pytest.fixture
def template() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "deployments" / "prefect.yaml").read_text())
    return found


def test_the_flow_that_a_container_may_run_stands_beside_that_of_the_machine(template: dict[str, Any]) -> None:
    spec = load_spec(ROOT / "projects" / "flights.yaml")
    file = prefect_file(template, [spec], "jobs", IMAGE)

    [train] = file["deployments"]
    assert (train["entrypoint"], train["name"]) == ("flows/train.py:train", f"{spec.name}@jobs")
    assert train["parameters"] == {"project": spec.name}
    assert train["work_pool"] == {"name": "jobs", "job_variables": {"image": IMAGE}}
    assert train.keys() & {"schedules", "triggers"} == set()
    assert file["pull"] == [{"prefect.deployments.steps.set_working_directory": {"directory": FOLDER}}]
    assert set(FLOWS) < set(ALL_FLOWS)
    # Those of the machine stay as they are.
    assert {each["work_pool"]["name"] for each in template["deployments"]} == {WORK_POOL}


def test_a_schedule_is_not_kept_twice(template: dict[str, Any]) -> None:
    for each in template["deployments"]:
        each["schedules"] = [{"cron": "0 0 * * *", "timezone": "UTC", "slug": "daily"}]
    file = prefect_file(template, [load_spec(ROOT / "projects" / "flights.yaml")], "jobs", IMAGE)

    assert [each for each in file["deployments"] if "schedules" in each] == []


@pytest.mark.parametrize("image", [IMAGE, "registry.example.org:5000/everfresh:0.1.0", "everfresh@sha256:" + "0" * 64])
def test_an_image_has_a_version(image: str) -> None:
    assert versioned(image) == image


@pytest.mark.parametrize("image", ["everfresh", "everfresh:latest", "registry.example.org:5000/everfresh"])
def test_an_image_that_is_another_one_tomorrow_is_refused(image: str) -> None:
    with pytest.raises(ArgumentTypeError, match=r"names no version; write \S*everfresh:0\.1\.0$"):
        versioned(image)


def test_a_project_that_is_not_there_is_said_in_a_sentence(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVERFRESH_ROOT", str(ROOT))

    assert main(["--pool", "jobs", "--image", IMAGE, "fligths"]) == 1
    assert "No spec 'fligths'. Did you mean 'flight-delays'?" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.usefixtures("prefect_server")
def test_a_prefect_server_takes_the_templates_and_the_deployments(tmp_path: Path) -> None:
    from prefect.settings import PREFECT_API_URL

    api = str(PREFECT_API_URL.value())
    for folder, kind in TYPES.items():
        job = json.loads((ROOT / "deployments" / folder / "base-job-template.json").read_text())
        pool = {"name": f"everfresh-{folder}", "type": kind, "base_job_template": job}
        assert httpx.post(f"{api}/work_pools/", json=pool, timeout=60).status_code == 201
    done = subprocess.run(
        [
            sys.executable,
            ROOT / "deployments" / "to_pool.py",
            "--pool",
            "everfresh-kubernetes",
            "--image",
            IMAGE,
            "flights",
        ],
        env={**os.environ, "PREFECT_API_URL": api, "EVERFRESH_ROOT": str(ROOT), "EVERFRESH_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    pools = {"work_pools": {"name": {"any_": ["everfresh-kubernetes"]}}}
    [train] = httpx.post(f"{api}/deployments/filter", json=pools, timeout=60).json()

    assert (train["name"], train["entrypoint"]) == ("flight-delays@everfresh-kubernetes", "flows/train.py:train")
    assert train["job_variables"] == {"image": IMAGE}
    assert asked(api, train, {}) == 201
    assert asked(api, train, {"cpu_request": 3}) == 422
    # The same deployment without its image: the pool has none to put in its place.
    httpx.patch(f"{api}/deployments/{train['id']}", json={"job_variables": {}}, timeout=60).raise_for_status()
    assert asked(api, train, {}) == 422


def asked(api: str, deployment: dict[str, Any], variables: dict[str, Any]) -> int:
    """What the server says to a run with these variables."""
    run = {"parameters": deployment["parameters"], "job_variables": variables}
    return httpx.post(f"{api}/deployments/{deployment['id']}/create_flow_run", json=run, timeout=60).status_code
