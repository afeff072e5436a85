from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect import Flow
from prefect.flows import load_flow_from_entrypoint
from prefect.utilities.callables import parameter_schema

from everfresh.orchestration import FLOWS

ROOT = Path(__file__).parents[2]

FILES = sorted(file.stem for file in (ROOT / "flows").glob("*.py") if not file.stem.startswith("_"))


def deployed() -> list[dict[str, Any]]:
    content = yaml.safe_load((ROOT / "deployments" / "prefect.yaml").read_text())
    return list(content["deployments"])


def loaded(entrypoint: str) -> Flow[..., Any]:
    """The flow itself: without the placeholder that Prefect makes of one that cannot be imported."""
    return load_flow_from_entrypoint(f"{ROOT}/{entrypoint}", use_placeholder_flow=False)


def test_every_flow_has_a_file_and_every_file_a_flow() -> None:
    assert sorted(FLOWS) == FILES


@pytest.mark.parametrize("name", FLOWS)
def test_a_flow_is_loaded_from_its_entrypoint(name: str) -> None:
    flow = loaded(f"flows/{name}.py:{name}")

    assert isinstance(flow, Flow)
    assert flow.name == name
    assert flow.flow_run_name == f"{name}-{{project}}"


@pytest.mark.parametrize("name", FLOWS)
def test_every_parameter_says_what_it_is_for(name: str) -> None:
    schema = parameter_schema(loaded(f"flows/{name}.py:{name}")).model_dump()

    assert schema["required"] == ["project"]
    for parameter, facts in schema["properties"].items():
        assert facts.get("description"), f"{name}.{parameter} has no description"


def test_a_retrain_can_be_started_by_three_triggers_and_no_other() -> None:
    schema = parameter_schema(loaded("flows/retrain.py:retrain")).model_dump()

    assert schema["properties"]["trigger"]["enum"] == ["hand", "event", "schedule"]
    assert schema["properties"]["trigger"]["default"] == "hand"


@pytest.mark.parametrize("deployment", deployed(), ids=lambda each: each["entrypoint"])
def test_what_is_deployed_can_be_loaded_and_takes_what_it_is_given(deployment: dict[str, Any]) -> None:
    flow = loaded(deployment["entrypoint"])
    given = dict(deployment["parameters"])
    for schedule in deployment.get("schedules", []):
        flow.validate_parameters({**given, **schedule.get("parameters", {})})
    known = parameter_schema(flow).properties.keys()
    for trigger in deployment.get("triggers", []):
        assert trigger["parameters"].keys() <= known
    assert deployment["description"]
