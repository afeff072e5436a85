from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from everfresh.errors import InvalidSpec
from everfresh.spec.faults import Fault
from everfresh.spec.loading import load_spec

SMALLEST = """\
name: flight-delays
task: classification
data:
  source: {kind: csv, path: flights.csv}
  label: delayed
  time_column: scheduled_at
"""

Write = Callable[[str | bytes], Path]
Faults = Callable[[str | bytes], tuple[Fault, ...]]


@pytest.fixture
def smallest() -> str:
    """The fewest lines that are a spec; six of them, so that what a test adds is in line 7."""
    return SMALLEST


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def to_file(text: str | bytes) -> Path:
        file = tmp_path / "spec.yaml"
        file.write_bytes(text.encode() if isinstance(text, str) else text)
        return file

    return to_file


@pytest.fixture
def faults(write: Write) -> Faults:
    """The faults of a text; none where it is a spec."""

    def found_in(text: str | bytes) -> tuple[Fault, ...]:
        try:
            load_spec(write(text))
        except InvalidSpec as error:
            return error.faults
        return ()

    return found_in
