"""What is wrong in a spec: where, what was read, what is allowed."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails


@dataclass(frozen=True)
class Fault:
    """One fault. `path` is the way to it inside the file; `line` counts from 1."""

    path: str
    read: str
    allowed: str
    line: int | None = None

    def __str__(self) -> str:
        where = f"line {self.line}, {self.path}" if self.line else self.path
        return f"{where}: read {self.read}; {self.allowed}"


def faults_of(error: ValidationError, document: yaml.Node | None) -> tuple[Fault, ...]:
    """The faults that pydantic found, in the words of the file and in its order."""
    found = [_fault(details, document) for details in error.errors(include_url=False)]
    return tuple(sorted(dict.fromkeys(found), key=lambda fault: fault.line or 0))


def _fault(details: ErrorDetails, document: yaml.Node | None) -> Fault:
    names_a_key = details["type"] in ("missing", "extra_forbidden")
    keys, node = _follow(details["loc"], document, last_is_a_key=names_a_key)
    path = _dotted(keys) or "(the whole file)"
    return Fault(path=path, read=_read(details), allowed=_allowed(details), line=_line(node))


def _follow(
    loc: Sequence[str | int], document: yaml.Node | None, *, last_is_a_key: bool
) -> tuple[list[str | int], yaml.Node | None]:
    """The keys of `loc` that the file has: pydantic also puts the kind of a union into its path.

    A key that is missing stays, as the last one: it names what must be added.
    """
    keys: list[str | int] = []
    node = document
    for position, key in enumerate(loc):
        child = _child(node, key)
        if child is not None:
            keys.append(key)
            node = child
        elif last_is_a_key and position == len(loc) - 1:
            keys.append(key)
    return keys, node


def _child(node: yaml.Node | None, key: str | int) -> yaml.Node | None:
    if isinstance(node, yaml.MappingNode):
        return next((value for name, value in node.value if name.value == str(key)), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(key, int) and key < len(node.value):
        child: yaml.Node = node.value[key]
        return child
    return None


def _dotted(keys: Sequence[str | int]) -> str:
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys).removeprefix(".")


def _line(node: yaml.Node | None) -> int | None:
    return node.start_mark.line + 1 if node is not None else None


def _read(details: ErrorDetails) -> str:
    if details["type"] == "missing":
        return "nothing"
    if details["type"] == "extra_forbidden":
        return f"the unknown key {details['loc'][-1]!r}"
    text = repr(details["input"])
    return text if len(text) <= 60 else f"{text[:57]}..."


def _allowed(details: ErrorDetails) -> str:
    context: dict[str, Any] = details.get("ctx") or {}
    match details["type"]:
        case "missing":
            return "this key is required"
        case "extra_forbidden":
            return _suggestion(str(details["loc"][-1]))
        case "union_tag_invalid":
            return f"kind is one of {context['expected_tags']}"
        case "union_tag_not_found":
            return "this section needs a kind"
        case "literal_error":
            return f"allowed are {context['expected']}"
        case "string_pattern_mismatch":
            return f"allowed is what matches {context['pattern']}"
        case "value_error":
            return str(context["error"])
        case _:
            return details["msg"][:1].lower() + details["msg"][1:]


def _suggestion(key: str) -> str:
    close = difflib.get_close_matches(key, _known_keys(), n=1, cutoff=0.6)
    return f"did you mean {close[0]!r}?" if close else "there is no such key here (see `everfresh schema`)"


def _known_keys() -> list[str]:
    from everfresh.spec.project import ProjectSpec

    schema = ProjectSpec.model_json_schema()
    sections = [schema, *schema.get("$defs", {}).values()]
    return sorted({key for section in sections for key in section.get("properties", {})})
