"""Everything that is wrong with specs and can be known without their data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from everfresh.errors import InvalidSpec, SpecNotFound
from everfresh.settings import Settings
from everfresh.spec.cautions import cautions
from everfresh.spec.faults import Fault
from everfresh.spec.loading import find_project, load_spec
from everfresh.spec.project import ProjectSpec


@dataclass(frozen=True)
class CheckedSpec:
    """A spec's file, its faults, and what its author should know.

    Attributes:
        file: the spec.
        faults: what is wrong with it; nothing if it can be used.
        cautions: sentences about what a sound spec allows itself.
    """

    file: Path
    faults: tuple[Fault, ...]
    cautions: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        faults = [asdict(fault) for fault in self.faults]
        return {"file": str(self.file), "faults": faults, "cautions": list(self.cautions)}

    def __str__(self) -> str:
        """One line if all is well, else the file and a line for each fault; a caution is a line, too."""
        if not self.faults:
            return "\n".join([f"{self.file}: no faults", *(f"  {caution}" for caution in self.cautions)])
        return "\n".join([f"{self.file}:", *(f"  {fault}" for fault in self.faults)])


def check_specs(wanted: Sequence[str], settings: Settings) -> tuple[CheckedSpec, ...]:
    """The specs of those names or paths, or all of the project folder, each with all of its faults.

    Raises:
        SpecNotFound: one of them is not there.
    """
    files = [find_project(name, settings.projects) for name in wanted] or sorted(settings.projects.glob("*.y*ml"))
    if not files:
        raise SpecNotFound(str(settings.projects), [])
    return tuple(_checked(file, settings) for file in files)


def _checked(file: Path, settings: Settings) -> CheckedSpec:
    try:
        spec = load_spec(file)
    except InvalidSpec as error:
        return CheckedSpec(file, error.faults)
    return CheckedSpec(file, _candidate_faults(spec, file, settings), cautions(spec))


def _candidate_faults(spec: ProjectSpec, file: Path, settings: Settings) -> tuple[Fault, ...]:
    """Estimators are imported only when the rest of the spec is sound: scikit-learn takes a second to import."""
    from everfresh.training.estimators import ImportRules, check_candidates

    rules = ImportRules(directory=file.parent, allowed=settings.allowed_imports)
    return check_candidates(spec.candidates, spec.task, rules)
