"""The command line in this process, with flows that need no Prefect; and as a process of its own."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from everfresh import cli, orchestration
from everfresh.settings import Settings
from everfresh.testing.flows import FlowsInMemory
from everfresh.testing.projects import open_in_memory, rides, write_project

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Ended:
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str


Run = Callable[..., Ended]


@pytest.fixture(scope="session")
def table() -> pd.DataFrame:
    return rides(days=40)


@pytest.fixture
def place(checkout: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A checkout of its own, which the environment names."""
    for name in list(os.environ):
        if name.startswith(("EVERFRESH_", "MLFLOW_TRACKING", "PREFECT_")):
            monkeypatch.delenv(name)
    for name, value in checkout.to_environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("COLUMNS", "200")
    return checkout


@pytest.fixture
def run(place: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """Run a command in this process; nothing but its exit code leaves it."""

    def run_words(*words: str) -> Ended:
        monkeypatch.setattr(sys, "argv", ["everfresh", *words])
        capsys.readouterr()
        code: Any = 0
        try:
            cli.main()
        except SystemExit as ending:
            code = ending.code
        printed = capsys.readouterr()
        return Ended(code or 0, printed.out, printed.err)

    loggers = [logging.getLogger(name) for name in ("everfresh", "tasks")]
    before = [(logger.handlers[:], logger.level, logger.propagate) for logger in loggers]
    yield run_words
    for logger, (handlers, level, propagate) in zip(loggers, before, strict=True):
        logger.handlers, logger.propagate = handlers, propagate
        logger.setLevel(level)


@pytest.fixture
def project(place: Settings, table: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> Callable[..., FlowsInMemory]:
    """Make a project whose flows run in memory; the commands' own way to Prefect is another test's subject."""

    def make(given: pd.DataFrame | None = None, **sections: Any) -> FlowsInMemory:
        file = write_project(place.projects, table if given is None else given, **sections)
        flows = FlowsInMemory(open_in_memory(file, place))
        monkeypatch.setattr(orchestration, "flow", lambda name, settings: getattr(flows, name))
        return flows

    return make


@pytest.fixture
def start(place: Settings, tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a command as a process of its own, with the checkout's real flows; it is ended with the test."""
    started: list[subprocess.Popen[str]] = []
    # The state lies in the test's folder, the flows in this checkout.
    environment = {**os.environ, "EVERFRESH_ROOT": str(ROOT)}

    def popen(*words: str, **variables: str) -> subprocess.Popen[str]:
        # As in a terminal: whoever starts the tests in the background has Ctrl-C ignored in all that they start.
        signals = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
        code = f"{signals}; from everfresh.cli import main; main()"
        process = subprocess.Popen(
            [sys.executable, "-c", code, *words],
            env={**environment, **variables},
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield popen
    for process in started:
        if process.poll() is None:
            process.terminate()
        try:
            process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


@pytest.fixture
def finish(start: Callable[..., subprocess.Popen[str]]) -> Run:
    """Run a command as a process of its own, to its end."""

    def to_the_end(*words: str, **variables: str) -> Ended:
        process = start(*words, **variables)
        out, err = process.communicate(timeout=120)
        return Ended(process.returncode, out, err)

    return to_the_end
