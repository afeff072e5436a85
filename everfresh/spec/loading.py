"""From a file to a spec: every fault at once, nothing guessed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from everfresh.errors import InvalidSpec, SpecNotFound
from everfresh.spec.consistency import contradictions
from everfresh.spec.faults import Fault, faults_of
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
    named = next((file for file in _specs(projects) if _name_in(file) == wanted), None)
    if named is not None:
        return named.resolve()
    raise SpecNotFound(wanted, [file.stem for file in _specs(projects)])


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

    Raises:
        InvalidSpec: the file has faults; all of them are in the error.
    """
    text = file.read_text(encoding="utf-8", errors="replace")
    try:
        document = yaml.compose(text, Loader=yaml.SafeLoader)
        content: Any = yaml.load(text, Loader=_UniqueKeys)  # noqa: S506 - a SafeLoader that also refuses a key given twice
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        fault = Fault(path="(the whole file)", read="text that is not YAML", allowed=str(error.problem), line=line)
        raise InvalidSpec(file, [fault]) from error
    if not isinstance(content, dict):
        fault = Fault(path="(the whole file)", read=type(content).__name__, allowed="a spec is a mapping of sections")
        raise InvalidSpec(file, [fault])
    try:
        spec = ProjectSpec.model_validate(content)
    except ValidationError as error:
        raise InvalidSpec(file, faults_of(error, document)) from error
    if found := contradictions(spec):
        raise InvalidSpec(file, found)
    return spec


def spec_schema() -> dict[str, Any]:
    """The JSON Schema of a spec, for editors and forms."""
    schema = ProjectSpec.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "everfresh spec", **schema}


class _UniqueKeys(yaml.SafeLoader):
    """YAML lets the last of two equal keys win, silently; here the second one is a fault."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} is there twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep=deep)


def _specs(projects: Path) -> list[Path]:
    return sorted([*projects.glob("*.yaml"), *projects.glob("*.yml")])


def _name_in(file: Path) -> str | None:
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError):
        return None
    return content.get("name") if isinstance(content, dict) else None
