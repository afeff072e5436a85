"""From a spec's target section to the target."""

from __future__ import annotations

from everfresh.settings import Settings
from everfresh.spec.project import ProjectSpec
from everfresh.targets.local import LocalTarget
from everfresh.targets.protocol import Target


def targets_of(spec: ProjectSpec, settings: Settings) -> tuple[Target, ...]:
    """The targets of a spec, in its order; the first is where production is watched."""
    return tuple(LocalTarget(port=target.port, home=settings.home) for target in spec.targets)
