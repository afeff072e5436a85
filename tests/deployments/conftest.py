"""The Dockerfiles, read as far as these tests need them."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Image:
    """A Dockerfile: its arguments' defaults, and the instructions of each of its stages, as (word, rest)."""

    file: Path
    arguments: dict[str, str]
    stages: list[list[tuple[str, str]]]

    def all(self, word: str) -> list[str]:
        """What that instruction says in the last stage, each time it is there."""
        return [rest for found, rest in self.stages[-1] if found == word]

    def copied(self) -> list[tuple[str, str]]:
        """What the last stage copies from the checkout, and where to."""
        pairs = [rest.split() for rest in self.all("COPY") if "--from=" not in rest]
        return [(source, target) for *sources, target in pairs for source in sources]

    def environment(self) -> dict[str, str]:
        """The variables that the image sets."""
        pairs = [part.partition("=") for rest in self.all("ENV") for part in shlex.split(rest)]
        return {name: value for name, _, value in pairs}


def read_image(name: str) -> Image:
    file = ROOT / "deployments" / name
    lines = [line for line in file.read_text().splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n", " ", "\n".join(lines))
    instructions = [line.strip().partition(" ")[::2] for line in joined.splitlines() if line.strip()]
    arguments: dict[str, str] = {}
    stages: list[list[tuple[str, str]]] = []
    for word, rest in instructions:
        if word == "FROM":
            stages.append([])
        if word == "ARG" and not stages:
            arguments |= dict([rest.split("=", 1)])
        elif stages:
            stages[-1].append((word, rest.strip()))
    return Image(file, arguments, stages)


@pytest.fixture
def application() -> Image:
    return read_image("Dockerfile")


@pytest.fixture
def serving() -> Image:
    return read_image("serving.Dockerfile")


@pytest.fixture
def writable(application: Image) -> list[str]:
    """The folders that a container of the application writes to."""
    [volumes] = application.all("VOLUME")
    found: list[str] = json.loads(volumes)
    return found


@pytest.fixture
def user(application: Image) -> int:
    """Whom a container of the application runs as."""
    return int(application.all("USER")[-1].partition(":")[0])
