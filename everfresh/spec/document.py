"""From a file to plain values: YAML with all that can surprise taken out.

Words are read by YAML 1.2's core schema, as editors do: `no` and `12:30` are text and `1e-6` is a number, which
PyYAML sees the other way round. Keys are text, each is there once, and there are no aliases: nine lines of them can
stand for a billion values.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from everfresh.errors import InvalidSpec
from everfresh.spec.faults import WHOLE_FILE, Fault, dotted

MAX_BYTES = 1_000_000
MAX_DEPTH = 20

_TAG = "tag:yaml.org,2002:"
_WORDS: dict[str, tuple[str, list[str]]] = {
    "null": (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    "bool": (r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    # Longer ones are fractions: no number of a spec needs more than 64 bits, and thousands of digits take seconds.
    "int": (r"[-+]?[0-9]{1,18}", list("-+0123456789")),
    "float": (
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
}


@dataclass(frozen=True)
class Document:
    """What a file says, and its nodes, which know their lines."""

    content: dict[str, Any]
    node: yaml.Node


def read_document(file: Path) -> Document:
    """The mapping in `file`.

    Raises:
        InvalidSpec: it cannot be opened, is not UTF-8, not YAML, or not a mapping, or has a key twice.
    """
    node = _compose(file, _text(file))
    if node is None:
        allowed = "a spec is a mapping of sections, as in projects/flights.minimal.yaml"
        raise InvalidSpec(file, [Fault(WHOLE_FILE, "nothing", allowed)])
    if not isinstance(node, yaml.MappingNode):
        kind = "a list" if isinstance(node, yaml.SequenceNode) else "a single value"
        raise InvalidSpec(file, [Fault(WHOLE_FILE, kind, "a spec is a mapping of sections", line=1)])
    if faults := list(_repeated_keys(node, ())):
        raise InvalidSpec(file, faults)
    return Document(_plain(node), node)


def _text(file: Path) -> str:
    try:
        content = file.read_bytes()
    except OSError as error:
        raise InvalidSpec(file, [Fault(WHOLE_FILE, "nothing", f"it cannot be opened: {error.strerror}")]) from error
    if len(content) > MAX_BYTES:
        raise InvalidSpec(file, [Fault(WHOLE_FILE, f"{len(content):,} bytes", f"a spec has at most {MAX_BYTES:,}")])
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        fault = Fault(WHOLE_FILE, "bytes that are not UTF-8", "save the file as UTF-8", line)
        raise InvalidSpec(file, [fault]) from error


def _compose(file: Path, text: str) -> yaml.Node | None:
    try:
        node: yaml.Node | None = yaml.compose(text, Loader=_Composer)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        raise InvalidSpec(file, [Fault(WHOLE_FILE, "text that is not YAML", _problem(error), line)]) from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        allowed = f"the character {chr(int(error.character))!r} may not stand in YAML"
        raise InvalidSpec(file, [Fault(WHOLE_FILE, "text that is not YAML", allowed, line)]) from error
    return node


def _problem(error: yaml.MarkedYAMLError) -> str:
    problem = error.problem or error.context or "it cannot be read"
    if r"'\t'" in problem:
        return f"{problem}: indent with spaces"
    return problem


class _Composer(yaml.SafeLoader):
    """Makes nodes of a spec's text, and refuses what a spec has no use for while it reads."""

    _depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event: yaml.Event = self.peek_event()  # type: ignore[no-untyped-call]
        is_key = isinstance(parent, yaml.MappingNode) and index is None
        if problem := self._problem(event, is_key=is_key):
            mark: Any = event.start_mark
            raise yaml.composer.ComposerError(None, None, problem, mark)
        self._depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1

    def _problem(self, event: yaml.Event, *, is_key: bool) -> str:
        if isinstance(event, yaml.AliasEvent):
            return f"*{event.anchor} is an alias: write out what it stands for"
        if getattr(event, "tag", None) not in (None, "!"):
            return "tags are not for specs: quotes make text of a value"
        if is_key and not isinstance(event, yaml.ScalarEvent):
            return "a key is a word, not a list or a mapping"
        return f"it is nested deeper than {MAX_DEPTH} levels" if self._depth == MAX_DEPTH else ""


_Composer.yaml_implicit_resolvers = {}  # instead of YAML 1.1's
for _word, (_pattern, _first) in _WORDS.items():
    _Composer.add_implicit_resolver(f"{_TAG}{_word}", re.compile(rf"^(?:{_pattern})$"), _first)


def _repeated_keys(node: yaml.Node, path: tuple[str | int, ...]) -> Iterator[Fault]:
    if isinstance(node, yaml.SequenceNode):
        for position, item in enumerate(node.value):
            yield from _repeated_keys(item, (*path, position))
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if key.value in seen:
                yield Fault(
                    dotted((*path, key.value)),
                    "this key a second time",
                    f"it is already in line {seen[key.value]}",
                    line,
                )
            seen.setdefault(key.value, line)
            yield from _repeated_keys(value, (*path, key.value))


def _plain(node: yaml.Node) -> Any:
    if isinstance(node, yaml.MappingNode):
        return {key.value: _plain(value) for key, value in node.value}
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item) for item in node.value]
    return _scalar(node)


def _scalar(node: yaml.Node) -> Any:
    match node.tag.removeprefix(_TAG):
        case "null":
            return None
        case "bool":
            return node.value.lower() == "true"
        case "int":
            return int(node.value)
        case "float":
            return float(node.value.lower().replace(".inf", "inf").replace(".nan", "nan"))
        case _:
            return node.value
