"""What is registered, what serves, and how production looked at the last check."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from everfresh.errors import EverfreshError
from everfresh.loop.serving_status import ServingStatus, serving_status
from everfresh.loop.watch import LATEST
from everfresh.loop.workspace import Workspace
from everfresh.registry.versions import ModelVersion


@dataclass(frozen=True)
class TargetStatus:
    """One target: where requests go, and the version that answers there as the target itself says.

    Attributes:
        name: how it is called.
        address: where requests go.
        version: the version that answers where nothing else is said; None where there is none.
        serving: what else it says about the model; None where it says no more.
    """

    name: str
    address: str
    version: int | None
    serving: ServingStatus | None = None

    def lines(self) -> Mapping[str, str]:
        """For people, a line each."""
        first = f"{f'v{self.version}' if self.version else 'nothing'} at {self.address}"
        more = self.serving.lines() if self.serving is not None else {}
        return {self.name: first, **{f"{self.name} {what}": line for what, line in more.items()}}


@dataclass(frozen=True)
class ProjectStatus:
    """A project at one look.

    Attributes:
        project: its name.
        champion, challenger, previous: the versions behind the aliases, in words; None where there is none.
        targets: what really serves.
        last_check: when production was last checked, and what was found; None if it never was.
        in_step: whether every target serves the champion.
        serving: the champion's version; what every target should serve.
    """

    project: str
    champion: str | None
    challenger: str | None
    previous: str | None
    targets: tuple[TargetStatus, ...]
    last_check: str | None
    in_step: bool
    serving: int | None

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)

    def lines(self) -> Mapping[str, object]:
        """For people, a line each."""
        served = {what: line for target in self.targets for what, line in target.lines().items()}
        registered = {"champion": self.champion, "challenger": self.challenger, "previous": self.previous}
        odd = {} if self.in_step else {"attention": f"what serves is not the champion: {self._remedy}"}
        return {"project": self.project, **registered, **served, "last check": self.last_check, **odd}

    @property
    def _remedy(self) -> str:
        if self.serving is None:
            return f"`everfresh train {self.project}` makes one"
        return f"`everfresh deploy {self.project} --version {self.serving}`"


def status_of(workspace: Workspace) -> ProjectStatus:
    """The status of a project; a target that cannot be asked serves nothing."""
    registry, name = workspace.registry, workspace.name
    champion = registry.champion(name)
    serving = champion.version if champion else None
    now = datetime.now(UTC)
    targets = tuple(
        TargetStatus(target.name, target.address(name), _served(workspace, target), serving_status(target, name, now))
        for target in workspace.targets
    )
    return ProjectStatus(
        project=name,
        champion=_words(champion),
        challenger=_words(registry.challenger(name)),
        previous=_words(registry.previous(name)),
        targets=targets,
        last_check=_last_check(workspace),
        in_step=all(target.version == serving for target in targets),
        serving=serving,
    )


def _served(workspace: Workspace, target: Any) -> int | None:
    try:
        version: int | None = target.current(workspace.name)
    except EverfreshError:
        return None
    return version


def _words(version: ModelVersion | None) -> str | None:
    if version is None:
        return None
    how = {"onnx": "served compiled", "sklearn": "served as scikit-learn pipeline"}
    model = f"v{version.version} {version.tags.get('everfresh.candidate', '')}".strip()
    facts = (
        f"{model} ({version.verdict or 'not judged'})",
        f"trained through {version.trained_through:%Y-%m-%d}" if version.trained_through else "",
        how.get(version.tags.get("everfresh.path", ""), ""),
    )
    return ", ".join(filter(None, facts))


def _last_check(workspace: Workspace) -> str | None:
    file = workspace.settings.reports / workspace.name / LATEST
    try:
        report = json.loads(file.read_text(encoding="utf-8"))
        return f"{datetime.fromisoformat(report['as_of']):%Y-%m-%d %H:%M} {report['status']}: {report['reason']}"
    except (OSError, ValueError, TypeError, KeyError):  # there is none, or somebody else wrote it
        return None
