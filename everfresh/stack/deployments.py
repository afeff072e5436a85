"""Flow deployments: the worked example's file says how they look, a spec says for which project and when."""

from __future__ import annotations

import copy
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from everfresh.errors import StackError
from everfresh.settings import Settings
from everfresh.spec.project import ProjectSpec
from everfresh.stack.services import prefect_environment

_TEMPLATE = Path("deployments") / "prefect.yaml"
_EXAMPLE = "flight-delays"


class DeploymentFailed(StackError):
    """Prefect refused the flow deployments."""

    def __init__(self, said: str) -> None:
        super().__init__(f"The flow deployments were not made: {said}. See deployments/prefect.yaml.")


def deployments_of(template: dict[str, Any], spec: ProjectSpec) -> list[dict[str, Any]]:
    """The deployments of a project: those of the worked example, with this project's name and schedules."""
    deployments = []
    for example in template["deployments"]:
        deployment = copy.deepcopy(example)
        deployment["name"] = spec.name
        deployment["parameters"]["project"] = spec.name
        deployment["schedules"] = [
            {**schedule, "cron": cron}
            for schedule in example.get("schedules", ())
            if (cron := _cron(schedule["slug"], spec)) is not None
        ]
        for trigger in deployment.get("triggers", ()):
            trigger["name"] = trigger["name"].replace(_EXAMPLE, spec.name)
            trigger["match"] = {key: value.replace(_EXAMPLE, spec.name) for key, value in trigger["match"].items()}
            trigger["enabled"] = spec.retraining.when.drift
        deployments.append(deployment)
    return deployments


def deploy_flows(specs: Sequence[ProjectSpec], settings: Settings) -> None:
    """Make, or bring up to date, the flow deployments of these projects on the Prefect server.

    Raises:
        DeploymentFailed: Prefect says why.
    """
    template = yaml.safe_load((settings.root / _TEMPLATE).read_text())
    document = {
        "name": template["name"],
        "prefect-version": template["prefect-version"],
        "deployments": [deployment for spec in specs for deployment in deployments_of(template, spec)],
    }
    settings.home.mkdir(parents=True, exist_ok=True)
    file = settings.home / "prefect.yaml"
    file.write_text(yaml.safe_dump(document, sort_keys=False))
    _prefect(settings, "work-pool", "create", "everfresh", "--type", "process", "--overwrite")
    _prefect(settings, "--no-prompt", "deploy", "--all", "--prefect-file", str(file))


def _prefect(settings: Settings, *arguments: str) -> None:
    import os

    environment = {**os.environ, **prefect_environment(settings)}
    done = subprocess.run(  # noqa: S603 - fixed words
        [sys.executable, "-m", "prefect", *arguments],
        cwd=settings.root, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise DeploymentFailed(" ".join((done.stderr or done.stdout).split())[-500:])


def _cron(slug: str, spec: ProjectSpec) -> str | None:
    return {"monitoring": spec.monitoring.schedule, "retraining": spec.retraining.when.schedule}[slug]
