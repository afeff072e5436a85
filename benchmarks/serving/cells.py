"""What is measured of every server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Cell:
    """A window of load.

    Attributes:
        name: its name in commands and in the report.
        title: its name for people.
        connections: how many ask at the same time.
        rows: how many rows each request has.
        form: the wire: JSON, or an Arrow stream.
    """

    name: str
    title: str
    connections: int
    rows: int = 1
    form: str = "json"


CELLS: Mapping[str, Cell] = {
    cell.name: cell
    for cell in (
        Cell("single-1", "1 connection", 1),
        Cell("single-16", "16 connections", 16),
        Cell("single-64", "64 connections", 64),
        # Few connections: what is under way when the window ends is not counted, and must not weigh.
        Cell("batch-json", "1,000 rows, JSON", 4, 1_000),
        Cell("batch-arrow", "1,000 rows, Arrow", 4, 1_000, "arrow"),
    )
}

PROCESS = "process"
"""Start-up and memory, measured once each time that a server runs."""

SWAPS = "swaps"
"""everfresh while its version is swapped once a second, beside the same without."""

FLOOR = "in-process"
"""The model called without a server."""

ALL = (*CELLS, PROCESS, SWAPS, FLOOR)
