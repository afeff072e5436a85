"""What is wrong in a spec: where, what was read, what is allowed."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from everfresh.spec.fields import PATTERNS_IN_WORDS

WHOLE_FILE = "(the whole file)"

_Schema = Mapping[str, Any]
_WORDS = {
    "missing": "this key is required",
    "union_tag_not_found": "this section needs a kind",
    "bool_type": "true or false",
    "string_type": "text",
    "string_too_short": "text that is not empty",
    "tuple_type": "a list",
    "dict_type": "a mapping of keys",
    "model_type": "a mapping of keys",
    "model_attributes_type": "a mapping of keys",
}


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
    return _in_order(found)


def with_lines(faults: Iterable[Fault], document: yaml.Node) -> tuple[Fault, ...]:
    """Faults that know their paths only, with the lines of these and in their order.

    Where the file leaves a key out, the line is that of the nearest section.
    """
    return _in_order(replace(fault, line=_follow(_keys(fault.path), document)[1]) for fault in faults)


def _in_order(faults: Iterable[Fault]) -> tuple[Fault, ...]:
    return tuple(sorted(dict.fromkeys(faults), key=lambda fault: fault.line or 0))


def _keys(path: str) -> list[str | int]:
    """What `dotted` was given."""
    return [int(number) if number else key for number, key in re.findall(r"\[(\d+)\]|([^.\[\]]+)", path)]


def dotted(keys: Sequence[str | int]) -> str:
    """The way to a key, as a person writes it.

    >>> dotted(("training", "candidates", 0, "name"))
    'training.candidates[0].name'
    """
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys).removeprefix(".")


def _fault(details: ErrorDetails, document: yaml.Node | None) -> Fault:
    loc, kind = details["loc"], details["type"]
    if kind.startswith("union_tag"):
        loc = (*loc, "kind")  # pydantic names the section
    keys, line = _follow(loc, document, keep_last=kind in ("missing", "extra_forbidden", "union_tag_not_found"))
    return Fault(dotted(keys) or WHOLE_FILE, _read(details), _allowed(details), line)


def _follow(
    loc: Sequence[str | int], document: yaml.Node | None, *, keep_last: bool = False
) -> tuple[list[str | int], int | None]:
    """The keys of `loc` that the file has, and the line of the last of them.

    Pydantic also puts the kind of a union into its path: those are no keys. A key that is missing stays with
    `keep_last`: it names what must be added.
    """
    keys: list[str | int] = []
    node, line = document, document.start_mark.line + 1 if document is not None else None
    for position, key in enumerate(loc):
        child = _child(node, key)
        if child is not None:
            keys.append(key)
            at, node = child
            line = at.start_mark.line + 1
        elif keep_last and position == len(loc) - 1:
            keys.append(key)
    return keys, line


def _child(node: yaml.Node | None, key: str | int) -> tuple[yaml.Node, yaml.Node] | None:
    """Where the child begins, which is its key where it has one, and the child."""
    if isinstance(node, yaml.MappingNode):
        return next(((name, value) for name, value in node.value if name.value == str(key)), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(key, int) and key < len(node.value):
        return node.value[key], node.value[key]
    return None


def _read(details: ErrorDetails) -> str:
    match details["type"]:
        case "missing" | "union_tag_not_found":
            return "nothing"
        case "extra_forbidden":
            return f"the unknown key {details['loc'][-1]!r}"
        case "union_tag_invalid":
            return repr(details["ctx"]["tag"])
    text = _written(details["input"])
    return text if len(text) <= 60 else f"{text[:57]}..."


def _written(value: Any) -> str:
    """A value as a spec would say it, in one line."""
    match value:
        case None:
            return "nothing"
        case bool():
            return str(value).lower()
        case dict():
            return f"{{{', '.join(f'{key}: {_written(item)}' for key, item in value.items())}}}"
        case list() | tuple():
            return f"[{', '.join(_written(item) for item in value)}]"
        case _:
            return repr(value)


def _allowed(details: ErrorDetails) -> str:
    context: dict[str, Any] = details.get("ctx") or {}
    match details["type"]:
        case "extra_forbidden":
            return _suggestion(details["loc"])
        case "union_tag_invalid":
            kinds = re.findall(r"'([^']*)'", context["expected_tags"])
            return f"{_did_you_mean(context['tag'], kinds)}kind is one of {', '.join(kinds)}"
        case "literal_error":
            words = re.findall(r"'([^']*)'", context["expected"])
            return f"{_did_you_mean(details['input'], words)}allowed are {', '.join(words)}"
        case "string_pattern_mismatch":
            return PATTERNS_IN_WORDS.get(context["pattern"], f"allowed is what matches {context['pattern']}")
        case "value_error":
            return str(context["error"])
        case "greater_than":
            return f"more than {_figure(context['gt'])}"
        case "greater_than_equal":
            return f"at least {_figure(context['ge'])}"
        case "less_than":
            return f"less than {_figure(context['lt'])}"
        case "less_than_equal":
            return f"at most {_figure(context['le'])}"
        case kind:
            return _WORDS.get(kind, details["msg"][:1].lower() + details["msg"][1:])


def _figure(limit: float) -> str:
    return f"{limit:,}" if isinstance(limit, int) else f"{limit:g}"


def _did_you_mean(word: Any, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(str(word), known, n=1, cutoff=0.6)
    return f"did you mean {close[0]!r}? " if close else ""


def _suggestion(loc: Sequence[str | int]) -> str:
    """What an unknown key may have been meant to be: one of its section, or one of another section."""
    from everfresh.spec.project import ProjectSpec

    schema = ProjectSpec.model_json_schema()
    key = str(loc[-1])
    here = list(dict.fromkeys(_keys_at(schema, loc[:-1], schema["$defs"])))
    if meant := _did_you_mean(key, here):
        return meant.strip()
    elsewhere = [section for section in schema["properties"] if key in _keys_at(schema, (section,), schema["$defs"])]
    if elsewhere:
        return f"did you mean {elsewhere[0]}.{key}?"
    return f"allowed are {', '.join(here)}"


def _keys_at(schema: _Schema, loc: Sequence[str | int], definitions: _Schema) -> Iterator[str]:
    """The keys of the section that `loc` leads to."""
    if "$ref" in schema:
        yield from _keys_at(definitions[schema["$ref"].rpartition("/")[2]], loc, definitions)
    elif not loc:
        yield from schema.get("properties", ())
    kinds = schema.get("discriminator", {}).get("mapping", {})
    for branch in () if kinds else (*schema.get("anyOf", ()), *schema.get("oneOf", ())):
        # A union may be in the path with the name of its branch, or not at all.
        yield from _keys_at(branch, loc, definitions)
        yield from _keys_at(branch, loc[1:], definitions) if loc else ()
    if not loc:
        return
    step, rest = loc[0], loc[1:]
    if step in kinds:
        yield from _keys_at({"$ref": kinds[step]}, rest, definitions)
    elif step in schema.get("properties", {}):
        yield from _keys_at(schema["properties"][step], rest, definitions)
    elif isinstance(step, int) and "items" in schema:
        yield from _keys_at(schema["items"], rest, definitions)
    elif isinstance(schema.get("additionalProperties"), dict):
        yield from _keys_at(schema["additionalProperties"], rest, definitions)
