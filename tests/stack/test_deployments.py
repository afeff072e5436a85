"""What is deployed for a project."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from everfresh.errors import DeploymentFailed
from everfresh.stack.deployments import deploy_flows, deployments_of, read_template
from everfresh.stack.services import prefect_environment

TEMPLATE = yaml.safe_load((Path(__file__).parents[2] / "deployments" / "prefect.yaml").read_text())
FLOWS = ["train", "deploy", "monitor", "retrain", "rollback", "score"]


def by_flow(deployments):
    return {deployment["entrypoint"].rpartition(":")[2]: deployment for deployment in deployments}


def test_another_project_gets_the_six_flows_and_nothing_of_the_worked_example(spec_of):
    deployments = deployments_of(TEMPLATE, spec_of("churn"))
    assert list(by_flow(deployments)) == FLOWS
    assert {deployment["name"] for deployment in deployments} == {"churn"}
    assert {deployment["parameters"]["project"] for deployment in deployments} == {"churn"}
    assert "flight" not in yaml.safe_dump(deployments)


def test_the_schedules_are_those_of_the_spec(spec_of):
    spec = spec_of("churn", monitoring={"schedule": "*/10 * * * *"}, retraining={"when": {"schedule": "0 4 1 * *"}})
    found = by_flow(deployments_of(TEMPLATE, spec))
    assert [schedule["cron"] for schedule in found["monitor"]["schedules"]] == ["*/10 * * * *"]
    assert [schedule["cron"] for schedule in found["retrain"]["schedules"]] == ["0 4 1 * *"]


def test_a_spec_without_a_retrain_schedule_leaves_none_behind(spec_of):
    assert by_flow(deployments_of(TEMPLATE, spec_of("churn")))["retrain"]["schedules"] == []


def test_a_schedule_that_somebody_added_to_the_file_is_kept(spec_of):
    template = yaml.safe_load(yaml.safe_dump(TEMPLATE))
    nightly = {"cron": "0 2 * * *", "timezone": "UTC", "slug": "nightly-scores"}
    by_flow(template["deployments"])["score"]["schedules"] = [nightly]
    assert by_flow(deployments_of(template, spec_of("churn")))["score"]["schedules"] == [nightly]


@pytest.mark.parametrize(
    ("when", "events"),
    [
        ({"drift": True}, ["everfresh.drift.detected"]),
        ({"drift": False, "metric_drop": 0.03}, ["everfresh.performance.dropped"]),
        (
            {"drift": True, "metric_drop": 0.03, "older_than": "60d"},
            ["everfresh.drift.detected", "everfresh.performance.dropped", "everfresh.retrain.due"],
        ),
    ],
)
def test_a_retrain_is_triggered_by_the_events_that_the_policy_names(spec_of, when, events):
    [trigger] = by_flow(deployments_of(TEMPLATE, spec_of("churn", retraining={"when": when})))["retrain"]["triggers"]
    assert (trigger["enabled"], trigger["expect"]) == (True, events)
    assert trigger["match"] == {"prefect.resource.id": "everfresh.model.churn", "everfresh.mode": "production"}


def test_a_policy_without_events_switches_the_trigger_off_and_does_not_let_it_expect_everything(spec_of):
    spec = spec_of("churn", retraining={"when": {"drift": False}})
    [trigger] = by_flow(deployments_of(TEMPLATE, spec))["retrain"]["triggers"]
    assert trigger["enabled"] is False
    assert trigger["expect"]


def test_the_template_is_left_as_it_was(spec_of):
    before = yaml.safe_dump(TEMPLATE)
    deployments_of(TEMPLATE, spec_of("churn"))
    assert yaml.safe_dump(TEMPLATE) == before


@pytest.mark.parametrize("text", [None, "deployments: ["])
def test_a_template_that_is_missing_or_broken_is_told_with_its_path(tmp_path, settings_for, text):
    settings = settings_for(tmp_path)
    (tmp_path / "deployments").mkdir()
    if text is not None:
        (tmp_path / "deployments" / "prefect.yaml").write_text(text)
    with pytest.raises(DeploymentFailed, match=str(tmp_path / "deployments" / "prefect.yaml")):
        read_template(settings)


@pytest.mark.slow
def test_deploying_again_leaves_one_deployment_of_each_flow_and_one_automation_for_each_project(stack):
    deploy_flows(stack.specs, stack.settings)
    names = {spec.name for spec in stack.specs}
    deployed = stack.post("deployments/filter", {}).json()
    assert sorted(f"{each['entrypoint']} {each['name']}" for each in deployed) == sorted(
        f"flows/{flow}.py:{flow} {name}" for flow in FLOWS for name in names
    )
    automations = stack.post("automations/filter", {}).json()
    assert sorted(each["name"] for each in automations) == [
        f"retrain {name} when it goes stale" for name in sorted(names)
    ]


@pytest.mark.slow
def test_the_servers_scheduler_makes_the_runs_that_a_cron_line_asks_for(stack):
    # With the newest versions that a resolver picks by itself, everything looks healthy and no run is ever made.
    scheduled = {"flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}}, "sort": "EXPECTED_START_TIME_ASC"}

    def planned(parameters):
        runs = stack.post("flow_runs/filter", scheduled).json()
        return [run for run in runs if run["auto_scheduled"] and run["parameters"] == parameters]

    [check, *_] = stack.wait_for(lambda: planned({"project": "other"}), seconds=90)
    [retrain, *_] = stack.wait_for(lambda: planned({"project": "other", "trigger": "schedule"}), seconds=90)
    starts = [datetime.fromisoformat(run["expected_start_time"]) for run in (check, retrain)]
    assert (starts[0].minute, starts[1].weekday(), starts[1].hour) == (0, 6, 3)


@pytest.mark.slow
def test_a_run_that_is_started_over_the_api_is_carried_out_in_the_checkout(stack):
    run = stack.start_run("retrain", "other", trigger="hand", occurred="2026-01-02T03:04:05+00:00")
    assert run.status_code == 201
    assert stack.wait_until(run.json()["id"], "COMPLETED", "FAILED", "CRASHED")["state_type"] == "COMPLETED"
    root = str(stack.settings.root)
    assert what_ran(stack, "other", "hand")[-1] == {
        "project": "other",
        "trigger": "hand",
        "folder": root,
        "root": root,
        "occurred": ["datetime", "2026-01-02 03:04:05+00:00"],
    }


@pytest.mark.slow
@pytest.mark.parametrize("parameters", [{"trigger": "the moon"}, {"seconds": "many"}, {"occurred": 3}])
def test_a_parameter_of_the_wrong_type_is_refused_before_anything_runs(stack, parameters):
    before = len(stack.runs("retrain", "other"))
    answer = stack.start_run("retrain", "other", **parameters)
    assert answer.status_code == 409
    assert next(iter(parameters)) in answer.json()["detail"]
    assert len(stack.runs("retrain", "other")) == before


@pytest.mark.slow
def test_a_burst_of_ten_drift_events_is_one_retrain_and_replayed_ones_are_none(stack):
    # Ten, one after the other and of every kind; then one of another project, whose run tells that all were looked at.
    kinds = ["everfresh.drift.detected", "everfresh.performance.dropped", "everfresh.retrain.due"]
    send(stack, [event("flights", "everfresh.drift.detected", mode="replay") for _ in range(3)])
    first = event("flights", "everfresh.drift.detected")
    send(stack, [first])
    send(stack, [event("flights", kinds[number % 2]) for number in range(4)])
    time.sleep(1)
    send(stack, [event("flights", kinds[0]) for _ in range(5)])
    stack.wait_for(lambda: by_event(stack, "flights"))
    send(stack, [event("other", "everfresh.drift.detected")])
    stack.wait_for(lambda: by_event(stack, "other"))

    [run] = by_event(stack, "flights")
    assert stack.wait_until(run["id"], "COMPLETED", "FAILED", "CRASHED")["state_type"] == "COMPLETED"
    [ran] = what_ran(stack, "flights", "event")
    assert ran["occurred"] == ["datetime", str(datetime.fromisoformat(first["occurred"]))]
    assert len(by_event(stack, "flights")) == 1


@pytest.mark.slow
def test_the_file_can_be_deployed_by_hand(stack):
    command = [sys.executable, "-m", "prefect", "deploy", "--all", "--prefect-file", "deployments/prefect.yaml"]
    environment = {"PATH": "", **prefect_environment(stack.settings)}
    done = subprocess.run(command, cwd=stack.settings.root, env=environment, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stdout.decode()
    found = stack.deployment("retrain", "flight-delays")
    assert found["work_pool_name"] == "everfresh"
    assert found["global_concurrency_limit"]["limit"] == 1
    assert found["concurrency_options"]["collision_strategy"] == "CANCEL_NEW"
    assert found["pull_steps"] == [
        {"prefect.deployments.steps.set_working_directory": {"directory": str(stack.settings.root)}}
    ]


def event(project, kind, mode="production"):
    return {
        "event": kind,
        "occurred": datetime.now(UTC).isoformat(),
        "id": uuid.uuid4().hex,
        "resource": {"prefect.resource.id": f"everfresh.model.{project}", "everfresh.mode": mode},
        "payload": {"project": project, "version": 3},
    }


def send(stack, events):
    assert stack.post("events", events).status_code == 204


def by_event(stack, project):
    return [run for run in stack.runs("retrain", project) if run["parameters"].get("trigger") == "event"]


def what_ran(stack, project, trigger):
    lines = (stack.settings.root / "ran.jsonl").read_text().splitlines()
    found = [json.loads(line) for line in lines]
    return [each for each in found if (each["project"], each["trigger"]) == (project, trigger)]
