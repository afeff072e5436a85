"""What the processes of the stack are started with."""

from __future__ import annotations

import os

from everfresh.settings import Settings
from everfresh.stack.services import mlflow_service, prefect_environment, prefect_service, runner_service

SERVICES = (prefect_service, mlflow_service, runner_service)


def test_every_process_reads_the_same_settings_as_the_one_that_starts_it(tmp_path, settings_for):
    settings = settings_for(tmp_path, EVERFRESH_ALLOWED_IMPORTS="acme", EVERFRESH_MODE="replay")
    for service in SERVICES:
        read = Settings.from_environment(service(settings).environment)
        # The processes are told the address that this one would have guessed.
        assert read.prefect_url == settings.prefect_url
        assert read.to_environment() | {"PREFECT_API_URL": ""} == settings.to_environment() | {"PREFECT_API_URL": ""}


def test_no_command_line_holds_the_address_of_the_database_whose_password_everybody_could_read(tmp_path, settings_for):
    settings = settings_for(tmp_path, MLFLOW_TRACKING_URI="postgresql://me:secret@db/mlflow")
    assert not [service for service in SERVICES if "secret" in " ".join(service(settings).command)]
    assert mlflow_service(settings).environment["MLFLOW_TRACKING_URI"] == settings.tracking_uri


def test_what_the_user_has_set_for_prefect_stays(tmp_path, settings_for, monkeypatch):
    monkeypatch.setenv("PREFECT_HOME", "/somewhere/else")
    monkeypatch.setenv("PREFECT_WORKER_QUERY_SECONDS", "30")
    service = runner_service(settings_for(tmp_path))
    seen = {**os.environ, **service.environment}
    assert (seen["PREFECT_HOME"], seen["PREFECT_WORKER_QUERY_SECONDS"]) == ("/somewhere/else", "30")


def test_a_server_that_is_named_is_the_one_that_flows_and_runner_talk_to(tmp_path, settings_for):
    settings = settings_for(tmp_path, PREFECT_API_URL="http://prefect.internal/api")
    assert prefect_environment(settings)["PREFECT_API_URL"] == "http://prefect.internal/api"


def test_nobody_is_told_that_the_stack_runs(tmp_path, settings_for):
    settings = settings_for(tmp_path)
    prefect, mlflow = prefect_service(settings).environment, mlflow_service(settings).environment
    assert (prefect["PREFECT_SERVER_ANALYTICS_ENABLED"], prefect["DO_NOT_TRACK"]) == ("false", "1")
    assert mlflow["MLFLOW_DISABLE_TELEMETRY"] == "true"


def test_flows_are_found_from_whatever_folder_a_process_is_started_in(tmp_path, settings_for, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/mine")
    folders = prefect_environment(settings_for(tmp_path))["PYTHONPATH"].split(os.pathsep)
    assert folders[0] == str(tmp_path)
    assert "/mine" in folders
