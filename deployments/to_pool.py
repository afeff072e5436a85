"""Deploy flows to a work pool whose jobs run in containers.

From the checkout's root:

    python deployments/to_pool.py --pool everfresh-kubernetes --image registry.example.org/everfresh:0.1.0 flights

Without a project, those of every spec. They stand beside those of `everfresh up`, have no schedule, and are called
as in `train/flight-delays@everfresh-kubernetes`.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from everfresh.errors import EverfreshError
from everfresh.settings import Settings
from everfresh.spec.loading import load_project
from everfresh.spec.project import ProjectSpec
from everfresh.stack.deployments import deployments_of, read_template
from everfresh.stack.services import prefect_environment

FLOWS = ("train",)
"""What a container may do by itself: all that training makes goes to MLflow. The other flows leave something on the
machine that they run on, or look at what was left there: endpoints at 127.0.0.1, what those logged, files of scores."""

FOLDER = "/opt/everfresh"
"""Where the checkout lies in the image of deployments/Dockerfile."""


def prefect_file(template: dict[str, Any], specs: Sequence[ProjectSpec], pool: str, image: str) -> dict[str, Any]:
    """What `prefect deploy` reads: the flows of these projects that may run in a container, on that pool."""
    # The image belongs to the deployment and not to the pool: it is the code that the deployment was made from.
    work_pool = {"name": pool, "job_variables": {"image": image}}
    deployments = [deployment for spec in specs for deployment in deployments_of(template, spec)]
    # A schedule or a trigger is that of the deployment beside this one: twice, everything would be done twice.
    once = [{key: each[key] for key in each if key not in ("schedules", "triggers")} for each in deployments]
    return {
        "name": template["name"],
        "prefect-version": template["prefect-version"],
        "pull": [{"prefect.deployments.steps.set_working_directory": {"directory": FOLDER}}],
        "deployments": [
            {**each, "name": f"{each['name']}@{pool}", "work_pool": work_pool}
            for each in once
            if each["entrypoint"].rpartition(":")[2] in FLOWS
        ],
    }


def versioned(image: str) -> str:
    """The image, if its name says which one it is: a tag that moves, or none, is other code tomorrow."""
    _, _, tag = image.rpartition("/")[2].partition(":")
    if "@sha256:" in image or tag not in ("", "latest"):
        return image
    raise argparse.ArgumentTypeError(f"{image} names no version; write {image.removesuffix(':latest')}:0.1.0")


def main(arguments: Sequence[str] | None = None) -> int:
    """Deploy them; the exit code of `prefect deploy`."""
    parser = argparse.ArgumentParser(prog="python deployments/to_pool.py", description="Deploy flows to a work pool.")
    parser.add_argument("--pool", required=True, help="the work pool, made with one of the base job templates")
    parser.add_argument("--image", required=True, type=versioned, help="the application's image, by its version")
    parser.add_argument("projects", nargs="*", help="names of specs in projects/, or their paths (default: all)")
    wanted = parser.parse_args(arguments)
    settings = Settings.from_environment()
    try:
        names = wanted.projects or [str(file) for file in sorted(settings.projects.glob("*.y*ml"))]
        specs = [load_project(name, settings.projects).spec for name in names]
        content = prefect_file(read_template(settings), specs, wanted.pool, wanted.image)
    except EverfreshError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    with tempfile.TemporaryDirectory(prefix="everfresh-") as folder:
        file = Path(folder) / "prefect.yaml"
        file.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
        command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all", "--prefect-file", str(file)]
        environment = {**os.environ, **prefect_environment(settings)}
        return subprocess.run(command, cwd=settings.root, env=environment, check=False).returncode  # noqa: S603 - fixed


if __name__ == "__main__":
    sys.exit(main())
