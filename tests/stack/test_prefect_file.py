"""deployments/prefect.yaml against the flows that it names."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from everfresh.orchestration import FLOWS
from everfresh.stack.prefect_api import WORK_POOL

ROOT = Path(__file__).parents[2]
FILE = ROOT / "deployments" / "prefect.yaml"
DEPLOYMENTS = yaml.safe_load(FILE.read_text())["deployments"]

# In a process of its own: what Prefect sets up when it is imported would stay in this one.
LOAD = """
import importlib, inspect, json, sys
found = {}
for entrypoint in json.loads(sys.argv[1]):
    path, _, name = entrypoint.partition(":")
    flow = getattr(importlib.import_module(path.removesuffix(".py").replace("/", ".")), name)
    properties = flow.parameters.model_dump()["properties"]
    found[entrypoint] = {"first": next(iter(inspect.signature(flow.fn).parameters)), "properties": properties}
print(json.dumps(found, default=str))
"""


@pytest.fixture(scope="module")
def flows():
    """The parameters of each flow, as its JSON schema tells them to the server and the UI."""
    entrypoints = json.dumps([deployment["entrypoint"] for deployment in DEPLOYMENTS])
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", LOAD, entrypoints], cwd=ROOT, capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_every_flow_is_deployed_once_to_the_pool_of_the_stack():
    assert [deployment["entrypoint"] for deployment in DEPLOYMENTS] == [f"flows/{name}.py:{name}" for name in FLOWS]
    assert {deployment["work_pool"]["name"] for deployment in DEPLOYMENTS} == {WORK_POOL}


def test_no_flow_that_changes_anything_runs_twice_at_once():
    alone = {"limit": 1, "collision_strategy": "CANCEL_NEW"}
    shared = [each["entrypoint"] for each in DEPLOYMENTS if each.get("concurrency_limit") != alone]
    assert shared == ["flows/score.py:score"]


@pytest.mark.slow
def test_every_entrypoint_is_a_flow_whose_first_parameter_is_the_project(flows):
    assert {found["first"] for found in flows.values()} == {"project"}


@pytest.mark.slow
def test_every_parameter_that_the_file_names_is_one_of_the_flow_and_may_have_that_value(flows):
    wrong = []
    for deployment in DEPLOYMENTS:
        known = flows[deployment["entrypoint"]]["properties"]
        sources = [deployment, *deployment.get("schedules", []), *deployment.get("triggers", [])]
        given = [item for source in sources for item in source.get("parameters", {}).items()]
        wrong += [f"{deployment['entrypoint']} {name}" for name, value in given if not fits(known.get(name), value)]
    assert wrong == []


def fits(schema, value):
    return schema is not None and ("enum" not in schema or value in schema["enum"])
