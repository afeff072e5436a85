"""From a file to a spec: every fault at once, nothing guessed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from everfresh.errors import InvalidSpec, SpecNotFound
from everfresh.spec.consistency import contradictions
from everfresh.spec.document import read_document
from everfresh.spec.faults import faults_of, with_lines
from everfresh.spec.project import ProjectSpec


@dataclass(frozen=True)
class Project:
    """A spec and the file it came from; paths and modules of the spec are looked for beside that file."""

    spec: ProjectSpec
    file: Path

    @property
    def name(self) -> str:
        """The project's name, which is also the model's name in the registry and on every target."""
        return self.spec.name

    @property
    def directory(self) -> Path:
        """The folder of the spec."""
        return self.file.parent


def find_project(wanted: str, projects: Path) -> Path:
    """The spec's file, from a path or from a name in the folder `projects`.

    Raises:
        SpecNotFound: neither leads to a file.
    """
    for candidate in (Path(wanted), projects / f"{wanted}.yaml", projects / f"{wanted}.yml"):
        if candidate.is_file():
            return candidate.resolve()
    names = {file: _name_in(file) for file in _specs(projects)}
    for file, name in names.items():
        if name == wanted:
            return file.resolve()
    raise SpecNotFound(wanted, [name or file.stem for file, name in names.items()])


def load_project(wanted: str, projects: Path) -> Project:
    """The project of that name or path.

    Raises:
        SpecNotFound: there is no such file.
        InvalidSpec: the file has faults; all of them are in the error.
    """
    file = find_project(wanted, projects)
    return Project(spec=load_spec(file), file=file)


def load_spec(file: Path) -> ProjectSpec:
    """The spec in `file`.

    Whether the sections fit each other is asked once each of them can be read by itself.

    Raises:
        InvalidSpec: the file has faults; all of them are in the error.
    """
    document = read_document(file)
    try:
        spec = ProjectSpec.model_validate(document.content)
    except ValidationError as error:
        raise InvalidSpec(file, faults_of(error, document.node)) from error
    if found := contradictions(spec):
        raise InvalidSpec(file, with_lines(found, document.node))
    return spec


def spec_schema() -> dict[str, Any]:
    """The JSON Schema of a spec, for editors and forms."""
    schema = ProjectSpec.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "everfresh spec"}


def _specs(projects: Path) -> list[Path]:
    return sorted([*projects.glob("*.yaml"), *projects.glob("*.yml")])


def _name_in(file: Path) -> str | None:
    try:
        name = read_document(file).content.get("name")
    except InvalidSpec:
        return None
    return name if isinstance(name, str) else None
