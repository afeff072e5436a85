"""Flow deployments: the worked example's file says how they look, a spec says for which project and when."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from everfresh.errors import DeploymentFailed
from everfresh.monitoring.events import DRIFT_DETECTED, PERFORMANCE_DROPPED, RETRAIN_DUE, resource_id
from everfresh.settings import Settings
from everfresh.spec.monitoring import RetrainWhen
from everfresh.spec.project import ProjectSpec
from everfresh.stack.prefect_api import make_work_pool
from everfresh.stack.services import prefect_environment

TEMPLATE = Path("deployments") / "prefect.yaml"

_EXAMPLE = "flight-delays"
_SHOWN_CHARACTERS = 500
_DEPLOY_SECONDS = 300.0


def deploy_flows(specs: Sequence[ProjectSpec], settings: Settings) -> None:
    """Make, or bring up to date, the flow deployments of these projects on the Prefect server.

    Raises:
        DeploymentFailed: the template cannot be read, or Prefect says why not.
        PrefectRefused: the server does not make the work pool.
    """
    if not specs:
        return
    template = read_template(settings)
    deployments = [deployment for spec in specs for deployment in deployments_of(template, spec)]
    make_work_pool(settings.prefect_url)
    settings.home.mkdir(parents=True, exist_ok=True)
    file = settings.home / "prefect.yaml"
    file.write_text(yaml.safe_dump({**_head(template), "deployments": deployments}, sort_keys=False))
    # One start of the command for all of them: most of its time is the import of the flows.
    _prefect(settings, "--no-prompt", "deploy", "--all", "--prefect-file", str(file))


def read_template(settings: Settings) -> dict[str, Any]:
    """The worked example's deployments.

    Raises:
        DeploymentFailed: the file cannot be read.
    """
    try:
        template: dict[str, Any] = yaml.safe_load((settings.root / TEMPLATE).read_text(encoding="utf-8"))
    except OSError as error:
        raise DeploymentFailed(f"{error.filename} cannot be read ({error.strerror})") from error
    except yaml.YAMLError as error:
        raise DeploymentFailed(f"{settings.root / TEMPLATE} is not YAML ({error})") from error
    return template


def deployments_of(template: dict[str, Any], spec: ProjectSpec) -> list[dict[str, Any]]:
    """The deployments of a project: those of the worked example, with this project's name, schedules and triggers."""
    return [_for_project(copy.deepcopy(example), spec) for example in template["deployments"]]


def _for_project(deployment: dict[str, Any], spec: ProjectSpec) -> dict[str, Any]:
    deployment["name"] = spec.name
    deployment["parameters"] = {**deployment.get("parameters", {}), "project": spec.name}
    if "schedules" in deployment:
        deployment["schedules"] = [each for schedule in deployment["schedules"] if (each := _on_time(schedule, spec))]
    for trigger in deployment.get("triggers", ()):
        events = _events(spec.retraining.when)
        trigger["name"] = trigger["name"].replace(_EXAMPLE, spec.name)
        trigger["match"] = {**trigger["match"], "prefect.resource.id": resource_id(spec.name)}
        trigger["enabled"] = bool(events)
        # A trigger that expects nothing would fire at every event.
        trigger["expect"] = events or trigger["expect"]
    return deployment


def _on_time(schedule: dict[str, Any], spec: ProjectSpec) -> dict[str, Any] | None:
    """The schedule as the spec has it; None where it has none."""
    crons = {"monitoring": spec.monitoring.schedule, "retraining": spec.retraining.when.schedule}
    cron = crons.get(schedule["slug"], schedule.get("cron"))
    return {**schedule, "cron": cron} if cron is not None else None


def _events(when: RetrainWhen) -> list[str]:
    """The events that may start a retrain; whether one does is decided by the flow, by the whole policy."""
    wanted = {
        DRIFT_DETECTED: when.drift,
        PERFORMANCE_DROPPED: when.metric_drop is not None,
        RETRAIN_DUE: when.older_than is not None,
    }
    return [event for event, is_wanted in wanted.items() if is_wanted]


def _head(template: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in template.items() if key in ("name", "prefect-version")}


def _prefect(settings: Settings, *arguments: str) -> None:
    try:
        done = subprocess.run(  # noqa: S603 - fixed words
            [sys.executable, "-m", "prefect", *arguments],
            # Wherever the worker runs from, it looks for the flows in the folder that they were deployed from.
            cwd=settings.root,
            env={**os.environ, **prefect_environment(settings)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=_DEPLOY_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise DeploymentFailed(f"Prefect took more than {_DEPLOY_SECONDS:.0f} s") from error
    if done.returncode != 0:
        raise DeploymentFailed(_reason(done.stdout, done.stderr))


def _reason(stdout: str, stderr: str) -> str:
    """The end of the traceback, or what was said after the last frame was drawn, in one line."""
    if lines := stderr.strip().splitlines():
        return lines[-1].strip()
    return " ".join(stdout.rpartition("╯")[2].split())[-_SHOWN_CHARACTERS:] or "Prefect does not say why"
