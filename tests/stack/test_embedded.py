"""The stack as it really runs."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import time
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx
import psutil
import pytest

from everfresh import process
from everfresh.errors import PortTaken, PrefectUnreachable
from everfresh.stack.embedded import start_stack, stop_stack
from everfresh.stack.runner import stop_runner
from everfresh.stack.services import MLFLOW, PREFECT, RUNNER

pytestmark = pytest.mark.slow


def family(stack):
    leaders = [process.find(name, stack.settings.home) for name in (PREFECT, MLFLOW, RUNNER)]
    return [member for leader in leaders for member in (leader, *leader.children(recursive=True))]


def test_nothing_of_it_listens_on_another_address_than_this_machines_own(stack):
    listening = [c.laddr for each in family(stack) for c in each.net_connections() if c.status == psutil.CONN_LISTEN]
    assert {stack.settings.prefect_port, stack.settings.mlflow_port} <= {address.port for address in listening}
    assert {address.ip for address in listening} <= {"127.0.0.1", "::1"}


@pytest.mark.parametrize("page", ["/", "/dashboard", "/deployments"])
def test_the_pages_of_prefect_can_be_opened_in_a_browser(stack, page):
    answer = httpx.get(
        stack.addresses.prefect + page, headers={"accept": "text/html"}, timeout=60, follow_redirects=True
    )
    assert answer.status_code == 200
    assert "<!doctype html>" in answer.text.lower()


def test_the_page_of_mlflow_can_be_opened_and_shows_the_database_that_the_flows_write_to(stack):
    page = httpx.get(stack.addresses.mlflow, headers={"accept": "text/html"}, timeout=60)
    assert (page.status_code, page.headers["content-type"].split(";")[0]) == (200, "text/html")
    found = httpx.post(
        f"{stack.addresses.mlflow}/api/2.0/mlflow/experiments/search", json={"max_results": 5}, timeout=60
    ).json()
    assert [each["name"] for each in found["experiments"]] == ["Default"]
    assert (stack.settings.root / "mlruns" / "mlflow.db").is_file()


@pytest.mark.parametrize(("origin", "may"), [("https://evil.example", False), ("own", True)])
def test_only_prefects_own_page_may_call_its_api_from_a_browser(stack, origin, may):
    origin = stack.addresses.prefect if origin == "own" else origin
    asked = {"origin": origin, "access-control-request-method": "POST"}
    answer = httpx.options(f"{stack.api}/flow_runs/filter", headers=asked, timeout=60)
    assert (answer.headers.get("access-control-allow-origin") == origin) is may


def test_a_second_start_finds_what_runs_and_says_where(stack):
    before, said = [each.pid for each in family(stack)], []
    assert start_stack(stack.settings, None, progress=said.append) == stack.addresses
    assert [each.pid for each in family(stack)] == before
    assert sorted(said) == [
        f"MLflow runs already: {stack.addresses.mlflow}",
        f"Prefect runs already: {stack.addresses.prefect}",
    ]


def test_a_flow_that_is_killed_with_the_stack_is_said_to_have_crashed_and_keeps_no_other_from_running(stack):
    cut_off = stack.start_run("retrain", "flights", seconds=600).json()["id"]
    stack.wait_for(lambda: [run for run in all_running(stack) if run["parent_task_run_id"]])
    started = family(stack)
    for name in (PREFECT, RUNNER):
        os.kill(process.find(name, stack.settings.home).pid, signal.SIGKILL)

    began = time.monotonic()
    assert stop_stack(stack.settings) == (RUNNER, MLFLOW)
    assert time.monotonic() - began < 15
    assert not [each for each in started if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]
    assert stop_stack(stack.settings) == ()

    stack.restart()
    assert stack.run(cut_off)["state_type"] == "CRASHED"
    assert all_running(stack) == []
    again = stack.start_run("retrain", "flights").json()["id"]
    assert stack.wait_until(again, "COMPLETED", "CANCELLED")["state_type"] == "COMPLETED"


def test_the_runner_stops_at_once_even_where_the_shell_made_it_ignore_ctrl_c(stack):
    began = time.monotonic()
    assert stop_runner(stack.settings)
    assert time.monotonic() - began < 15
    stack.restart()
    assert process.find(RUNNER, stack.settings.home) is not None


def test_of_the_runs_that_a_schedule_missed_the_last_one_is_made_up_for(stack):
    planned = {"flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}}, "sort": "EXPECTED_START_TIME_ASC"}

    def checks():
        runs = stack.post("flow_runs/filter", planned).json()
        return [run["id"] for run in runs if run["auto_scheduled"] and run["parameters"] == {"project": "flights"}]

    missed = stack.wait_for(lambda: checks()[:3] if len(checks()) >= 3 else None, seconds=90)
    stop_runner(stack.settings)
    with closing(sqlite3.connect(stack.settings.home / "prefect" / "prefect.db", timeout=10)) as database:
        for number, run in enumerate(missed):
            then = (datetime.now(UTC) - timedelta(hours=3 - number)).strftime("%Y-%m-%d %H:%M:%S.%f")
            change = "update flow_run set expected_start_time = ?, next_scheduled_start_time = ? where id = ?"
            assert database.execute(change, (then, then, run)).rowcount == 1
            state = "update flow_run_state set state_details = json_set(state_details, '$.scheduled_time', ?)"
            instant = then.replace(" ", "T") + "Z"
            assert database.execute(f"{state} where flow_run_id = ?", (instant, run)).rowcount == 1
        database.commit()
    stack.restart()
    assert stack.wait_until(missed[2], "COMPLETED", "CANCELLED")["state_type"] == "COMPLETED"
    assert [stack.run(run)["state_type"] for run in missed[:2]] == ["CANCELLED", "CANCELLED"]


def test_a_taken_port_is_told_with_the_variable_that_changes_it_and_what_was_started_is_stopped(
    tmp_path, checkout_at, settings_for
):
    settings = settings_for(checkout_at(tmp_path / "checkout"))
    taken = socket.create_server(("127.0.0.1", settings.prefect_port))
    with taken, pytest.raises(PortTaken, match="EVERFRESH_PREFECT_PORT"):
        start_stack(settings, None)
    assert process.running_names(settings.home) == ()
    assert process.port_is_free(settings.mlflow_port)


def test_a_server_that_the_environment_names_is_used_and_must_answer(tmp_path, settings_for, free_port):
    named = replace(
        settings_for(tmp_path),
        prefect_api_url=f"http://127.0.0.1:{free_port()}/api",
        tracking_uri="http://127.0.0.1:1",
    )
    with pytest.raises(PrefectUnreachable, match="unset PREFECT_API_URL"):
        start_stack(named, None)
    assert process.running_names(named.home) == ()


def all_running(stack):
    return stack.post("flow_runs/filter", {"flow_runs": {"state": {"type": {"any_": ["RUNNING"]}}}}).json()
