"""Flows in the process that asks for them, with the stack's server and with none."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from everfresh import process
from everfresh.errors import FlowsNotFound, PrefectUnreachable
from everfresh.orchestration import flow

ROOT = Path(__file__).parents[2]

FLOW = """
import logging, time
from prefect import flow, task
from everfresh.errors import NoChampion
logger = logging.getLogger("everfresh.test")

@task
def look(project: str) -> None:
    logger.warning("looked at %s", project)
    if project == "empty":
        raise NoChampion(project)
    if project == "slow":
        time.sleep(600)

@flow(flow_run_name="train-{project}")
def train(project: str) -> str:
    look(project)
    return f"trained {project}"
"""
ASK = """
import logging, sys
from everfresh.errors import EverfreshError
from everfresh.orchestration import flow
from everfresh.settings import Settings
try:
    settings = Settings.from_environment()
    flow("monitor", settings)
    print(flow("train", settings)(sys.argv[1]))
    logging.getLogger("everfresh.test").warning("said outside of any flow")
except EverfreshError as error:
    print(type(error).__name__, error)
    sys.exit(1)
"""


@pytest.fixture(scope="module")
def lonely(tmp_path_factory, checkout_at, settings_for):
    """A checkout where no server runs."""
    root = checkout_at(tmp_path_factory.mktemp("lonely"))
    (root / "flows" / "train.py").write_text(FLOW)
    return settings_for(root)


def ask(settings, project):
    """A process that runs the flow, as the command line does."""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **settings.to_environment()}
    return subprocess.Popen(
        [sys.executable, "-c", ASK, project],
        env=environment,
        cwd=settings.root.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_to_know_about_flows_is_not_to_import_prefect():
    code = "import sys, everfresh.orchestration, everfresh.stack.embedded; sys.exit('prefect' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=60, check=False).returncode == 0


def test_a_folder_without_flows_is_told_before_anything_is_started(tmp_path, settings_for):
    with pytest.raises(FlowsNotFound, match="set EVERFRESH_ROOT"):
        flow("train", settings_for(tmp_path))
    assert not (tmp_path / ".everfresh").exists()


def test_a_server_that_is_named_and_does_not_answer_is_an_error_and_not_replaced_by_another(lonely, free_port):
    url = f"http://127.0.0.1:{free_port()}/api"
    with pytest.raises(PrefectUnreachable, match=url):
        flow("train", replace(lonely, prefect_api_url=url))


@pytest.mark.slow
def test_without_a_server_a_flow_runs_and_is_recorded_and_nothing_is_printed_or_left_behind(lonely):
    asked = ask(lonely, "flights")
    out, error = asked.communicate(timeout=120)
    assert (asked.returncode, out, error) == (0, "trained flights\n", "")
    assert recorded(lonely, "train-flights") == ["COMPLETED"]
    assert logged(lonely) == ["looked at flights"]
    assert process.running_names(lonely.home) == ()


@pytest.mark.slow
def test_an_error_of_the_flow_reaches_its_caller_as_it_is_without_a_traceback_of_prefects(lonely):
    asked = ask(lonely, "empty")
    out, error = asked.communicate(timeout=120)
    assert asked.returncode == 1
    assert out.startswith("NoChampion 'empty' has no champion yet.")
    assert error == ""
    assert recorded(lonely, "train-empty") == ["FAILED"]


@pytest.mark.slow
def test_the_server_of_one_process_ends_with_it_even_if_that_is_killed(lonely):
    asked = ask(lonely, "slow")
    try:
        server = wait_for(lambda: process.find(f"prefect-for-{asked.pid}", lonely.home))
        wait_for(lambda: "RUNNING" in recorded(lonely, "train-slow"))
        assert [c.laddr.ip for c in server.net_connections() if c.status == psutil.CONN_LISTEN] == ["127.0.0.1"]
        asked.kill()
        asked.communicate(timeout=60)
        wait_for(lambda: process.find(f"prefect-for-{asked.pid}", lonely.home) is None)
    finally:
        asked.kill()
        asked.communicate()


@pytest.mark.slow
def test_where_the_stack_runs_its_server_records_the_flow(stack):
    (stack.settings.root / "flows" / "train.py").write_text(FLOW)
    asked = ask(stack.settings, "flights")
    out, error = asked.communicate(timeout=120)
    assert (asked.returncode, out, error) == (0, "trained flights\n", "")
    [run] = stack.post("flow_runs/filter", {"flow_runs": {"name": {"any_": ["train-flights"]}}}).json()
    assert run["state_type"] == "COMPLETED"
    assert process.find(f"prefect-for-{asked.pid}", stack.settings.home) is None


def recorded(settings, name):
    return column(settings, "select state_type from flow_run where name = ? order by created", name)


def logged(settings):
    return column(settings, "select message from log where name = ?", "everfresh.test")


def column(settings, query, parameter):
    file = settings.home / "prefect" / "prefect.db"
    if not file.is_file():
        return []
    connection = sqlite3.connect(file, timeout=10)
    try:
        return [row[0] for row in connection.execute(query, (parameter,))]
    except sqlite3.OperationalError:  # not migrated yet
        return []
    finally:
        connection.close()


def wait_for(what, seconds=120.0):
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s"
        time.sleep(0.1)
    return found
