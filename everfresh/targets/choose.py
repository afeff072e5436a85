"""From a spec's target section to the target."""

from __future__ import annotations

from dataclasses import replace

from everfresh.data.inference_log.policy import LogPolicy
from everfresh.settings import Settings
from everfresh.spec.project import ProjectSpec
from everfresh.targets.local import LocalTarget
from everfresh.targets.protocol import Target


def targets_of(spec: ProjectSpec, settings: Settings) -> tuple[Target, ...]:
    """The targets of a spec, in its order; the first is where production is watched."""
    log = LogPolicy.of(spec.inference_log)
    if settings.mode == "replay":  # what is told of a replay is told of every request
        log = replace(log, sample=1.0)
    return tuple(LocalTarget(port=target.port, home=settings.home, log=log) for target in spec.targets)
