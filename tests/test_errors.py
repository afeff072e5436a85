from __future__ import annotations

import ast
import inspect
import pickle
import re
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from everfresh import errors
from everfresh.errors import (
    CannotSplit,
    EverfreshError,
    InvalidSpec,
    NoLabels,
    SourceNotFound,
    SourceUnreachable,
)
from everfresh.spec.faults import Fault

ROOT = Path(__file__).parent.parent
SOURCES = [file for folder in ("everfresh", "flows", "tasks", "projects") for file in (ROOT / folder).rglob("*.py")]


def classes() -> list[type[EverfreshError]]:
    """Every class of the module, in its order."""
    found = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, EverfreshError)]
    return sorted(found, key=lambda kind: inspect.getsourcelines(kind)[1])


def sentences() -> list[type[EverfreshError]]:
    """Those that write a sentence; the others are families of them."""
    return [kind for kind in classes() if kind.__init__ is not EverfreshError.__init__]


# What a fact of each type may be, by its annotation; and two that are sentences of somebody else.
FACTS: dict[str, Any] = {
    "str": "something",
    "int": 3,
    "float": 0.5,
    "Path": Path("projects/flights.yaml"),
    "datetime": datetime(2013, 7, 1, tzinfo=UTC),
    "Sequence[str]": ["one", "two"],
    "Sequence[int]": [1, 2],
    "Sequence[Fault]": [Fault("name", "nothing", "this key is required", 1)],
    "Mapping[str, str]": {"logistic": "ValueError: no"},
}
SENTENCES = {"message": "It is late.", "remedy": "Wait."}


def made(kind: type[EverfreshError]) -> EverfreshError:
    """An error of that class, from facts of the types that it asks for."""
    _self, *asked = inspect.signature(kind.__init__).parameters.values()
    fact = {p.name: SENTENCES.get(p.name, FACTS[str(p.annotation).removesuffix(" | None")]) for p in asked}
    by_name = [p.name for p in asked if p.kind is p.KEYWORD_ONLY]
    return kind(*(fact[name] for name in fact if name not in by_name), **{name: fact[name] for name in by_name})


@cache
def names_in_use() -> frozenset[str]:
    """Every name that the source uses, other than to import it or to define it."""
    nodes = (node for file in SOURCES if file.name != "errors.py" for node in ast.walk(ast.parse(file.read_text())))
    return frozenset(
        node.id if isinstance(node, ast.Name) else node.attr
        for node in nodes
        if isinstance(node, ast.Name | ast.Attribute)
    )


def test_the_tree_at_the_top_of_the_module_is_the_tree() -> None:
    drawn = dict(re.findall(r"[├└]── (\w+) +(.+)", errors.__doc__ or ""))
    first_lines = {
        kind.__name__: (kind.__doc__ or "").splitlines()[0] for kind in classes() if EverfreshError in kind.__bases__
    }
    assert {name: f"{words[:1].upper()}{words[1:]}." for name, words in drawn.items()} == first_lines


@pytest.mark.parametrize("kind", sentences(), ids=lambda kind: kind.__name__)
def test_every_error_is_raised_somewhere(kind: type[EverfreshError]) -> None:
    assert kind.__name__ in names_in_use()


@pytest.mark.parametrize("kind", sentences(), ids=lambda kind: kind.__name__)
def test_every_error_is_a_sentence(kind: type[EverfreshError]) -> None:
    sentence = str(made(kind))
    assert sentence.endswith(".") or kind is InvalidSpec  # a list of faults, each with what is allowed
    assert not sentence.endswith("..")


@pytest.mark.parametrize(
    "error",
    [
        SourceNotFound("flights.csv", ["projects", "data"]),
        SourceUnreachable("s3://lake/x.csv", "it is far"),
        CannotSplit("it is short"),
        NoLabels("late", 3),
        *map(made, sentences()),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_crosses_processes_with_its_class_and_its_sentence(error: EverfreshError) -> None:
    again = pickle.loads(pickle.dumps(error))

    assert type(again) is type(error)
    assert str(again) == str(error)
    assert again.may_heal == error.may_heal
