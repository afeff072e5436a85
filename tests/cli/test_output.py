from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from everfresh import cli, errors
from everfresh.cli import specs
from everfresh.cli.output import facts, table
from everfresh.errors import EverfreshError, SpecError

Run = Callable[..., Any]


def every_error(kind: type[EverfreshError] = EverfreshError) -> Iterator[type[EverfreshError]]:
    yield kind
    for more in kind.__subclasses__():
        yield from every_error(more)


@pytest.mark.parametrize("kind", [each for each in every_error() if each.__module__ == errors.__name__])
def test_every_error_of_ours_is_a_sentence_and_an_exit_code(
    run: Run, monkeypatch: pytest.MonkeyPatch, kind: type[EverfreshError]
) -> None:
    error = kind.__new__(kind, "It went wrong.")

    def command() -> None:
        raise error

    monkeypatch.setattr(cli, "app", command)
    ended = run()
    assert ended.code == (2 if issubclass(kind, SpecError) else 1)
    assert (ended.out, ended.err) == ("", "It went wrong.\n")


def test_ctrl_c_is_said_and_ends_with_130(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(specs, "show_json", lambda content: interrupted())
    within = run("schema")
    monkeypatch.setattr(cli, "app", interrupted)
    without = run("schema")

    for ended in (within, without):
        assert (ended.code, ended.out, ended.err) == (130, "", "Interrupted.\n")


def test_a_table_without_rows_has_its_head() -> None:
    assert table(("month", "rows"), []) == "month  rows"


def test_facts_of_nothing_are_nothing() -> None:
    assert facts({}) == ""
