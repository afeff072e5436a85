"""What commands print: facts on stdout, as text or JSON; progress and errors on stderr. And how they exit."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import typer

OK = 0
ERROR = 1
INVALID_SPEC = 2  # as for a wrong option: what was typed is at fault
SAID_NO = 3
INTERRUPTED = 130

Exit = typer.Exit


def show(text: str) -> None:
    """A line of the result."""
    typer.echo(text)


def say(text: str) -> None:
    """A line about the work: progress, or what went wrong."""
    typer.echo(text, err=True)


def show_json(content: Any) -> None:
    """The result for programs."""
    typer.echo(json.dumps(content, indent=2, default=str))


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns aligned by spaces: readable in every terminal, and easy to cut.

    >>> print(table(("month", "rows"), [("2013-03", "28,834")]))
    month    rows
    2013-03  28,834
    """
    widths = [max(len(row[position]) for row in (head, *rows)) for position in range(len(head))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in (head, *rows))
    return "\n".join(line.rstrip() for line in lines)


def facts(values: Mapping[str, object]) -> str:
    """Names and values, one a line.

    >>> print(facts({"Prefect": "http://127.0.0.1:4200", "MLflow": None}))
    Prefect  http://127.0.0.1:4200
    MLflow   -
    """
    width = max((len(name) for name in values), default=0)
    return "\n".join(f"{name.ljust(width)}  {'-' if value is None else value}" for name, value in values.items())


def log_progress() -> None:
    """Show what the library logs while a long command works, on stderr, one line an event."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s  %(message)s", datefmt="%H:%M:%S"))
    for name in ("everfresh", "tasks"):
        logger = logging.getLogger(name)
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False
