"""The arguments and options that several commands share."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

Project = Annotated[str, typer.Argument(help="The name of a spec in projects/, or its path.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Version = Annotated[int | None, typer.Option("--version", help="A version's number.", min=1, show_default=False)]
AsOf = Annotated[
    datetime | None,
    typer.Option(
        formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"],
        help="The moment to take for now, in UTC.",
        show_default=False,
    ),
]


def utc(moment: datetime | None) -> datetime | None:
    """A moment from the command line, which is meant in UTC."""
    return moment.replace(tzinfo=UTC) if moment else None
