"""compose.yaml: there is no engine to start it with, so what it says is read."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from everfresh.serving.server import STOP_SECONDS
from everfresh.serving.supervisor import INSIST_AFTER_S
from everfresh.settings import Settings

ROOT = Path(__file__).parents[2]
FILE = ROOT / "deployments" / "compose.yaml"
COMPOSE: dict[str, Any] = yaml.safe_load(FILE.read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = [name for name, service in SERVICES.items() if "EVERFRESH_IMAGE" in service["image"]]

# In a process of its own: what Prefect sets up when it is imported would stay in this one.
KNOWN = "import json, sys, prefect.settings as s; print(json.dumps([n for n in sys.argv[1:] if not hasattr(s, n)]))"


def variables() -> dict[str, str]:
    return {name: str(value) for service in SERVICES.values() for name, value in service.get("environment", {}).items()}


def mounts(service: dict[str, Any]) -> dict[str, str]:
    return {place.split(":")[1]: place.split(":")[0] for place in service.get("volumes", [])}


def test_the_parts_of_the_stack_are_there() -> None:
    assert list(SERVICES) == ["postgres", "prefect", "mlflow", "runner", "serving", "prometheus", "grafana"]
    assert OURS == ["prefect", "mlflow", "runner"]
    assert {name: service["profiles"] for name, service in SERVICES.items() if "profiles" in service} == {
        "prometheus": ["metrics"],
        "grafana": ["metrics"],
    }


def test_every_image_has_a_version() -> None:
    images = [re.sub(r"\$\{\w+:-(.*)\}", r"\1", service["image"]) for service in SERVICES.values()]

    assert [image for image in images if not re.fullmatch(r"[\w./-]+:v?\d[\w.-]*", image)] == []


def test_no_secret_is_in_the_file() -> None:
    secret = [value for name, value in variables().items() if "PASSWORD" in name or "postgresql" in value]

    assert len(secret) == 3
    assert all("${POSTGRES_PASSWORD" in value for value in secret)
    # Left out, it is asked for, and no empty password is taken.
    assert "${POSTGRES_PASSWORD:?" in FILE.read_text()


def test_nothing_is_published_beyond_this_machine() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]

    assert sorted(ports) == [
        "127.0.0.1:3000:3000",
        "127.0.0.1:4200:4200",
        "127.0.0.1:5000:5000",
        "127.0.0.1:8080:8000",
        "127.0.0.1:9090:9090",
    ]


@pytest.mark.parametrize("name", [*OURS, "serving", "prometheus", "grafana"])
def test_a_container_may_do_little(name: str) -> None:
    service = SERVICES[name]

    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service.keys() & {"privileged", "pid", "ipc", "devices"} == set()


def test_what_a_service_names_is_there() -> None:
    assert {name for service in SERVICES.values() for name in service.get("depends_on", ())} <= SERVICES.keys()
    assert {source for service in SERVICES.values() for source in mounts(service).values()} == COMPOSE["volumes"].keys()
    build = SERVICES["prefect"]["build"]
    assert (FILE.parent / build["context"]).resolve() == ROOT
    assert (ROOT / build["dockerfile"]).is_file()


def test_who_waits_for_a_healthy_service_waits_for_one_that_can_say_so() -> None:
    waited_for = {
        name
        for service in SERVICES.values()
        if isinstance(service.get("depends_on"), dict)
        for name, how in service["depends_on"].items()
        if how["condition"] == "service_healthy"
    }

    assert waited_for == {"postgres", "prefect", "mlflow"}
    assert {name for name, service in SERVICES.items() if "healthcheck" in service} >= waited_for


@pytest.mark.parametrize("name", OURS)
def test_a_command_is_one_that_the_image_has(name: str) -> None:
    program, *_ = SERVICES[name]["command"]

    assert shutil.which(program, path=str(Path(sys.executable).parent)) is not None


def test_the_runner_is_told_where_the_servers_are() -> None:
    settings = Settings.from_environment(SERVICES["runner"]["environment"])

    assert (settings.has_own_prefect, settings.has_own_mlflow) == (False, False)
    assert settings.prefect_url == "http://prefect:4200/api"
    assert settings.tracking_uri == "http://mlflow:5000"
    # A name that MLflow's server does not expect is refused.
    assert "mlflow:5000" in SERVICES["mlflow"]["command"][-1].split(",")
    # MLflow shows the artifacts from where the runner puts them.
    assert mounts(SERVICES["mlflow"]) == mounts(SERVICES["runner"]) == {"/var/lib/everfresh": "state"}
    assert settings.artifacts.startswith("/var/lib/everfresh/")


def test_the_runner_is_given_more_time_than_its_endpoints_take_to_stop() -> None:
    assert int(SERVICES["runner"]["stop_grace_period"].removesuffix("s")) > INSIST_AFTER_S > STOP_SECONDS


def test_grafana_has_no_user_whose_password_everybody_knows() -> None:
    environment = SERVICES["grafana"]["environment"]

    assert environment["GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION"] == "true"
    assert environment["GF_AUTH_ANONYMOUS_ORG_ROLE"] == "Viewer"


def test_the_endpoints_are_let_out_of_the_runners_network() -> None:
    assert SERVICES["serving"]["network_mode"] == "service:runner"
    assert SERVICES["serving"]["command"] == ["caddy", "reverse-proxy", "--from", ":8000", "--to", "127.0.0.1:8080"]


@pytest.mark.slow
def test_prefect_knows_every_setting_that_it_is_given(application: Any) -> None:
    given = [name for name in variables() | application.environment() if name.startswith("PREFECT_")]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", KNOWN, *given], capture_output=True, text=True, timeout=120, check=True
    )

    assert len(given) > 8
    assert json.loads(done.stdout) == []
