from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from everfresh import __version__
from everfresh.cli.app import app
from everfresh.settings import Settings

ROOT = Path(__file__).parents[2]
COMMANDS = sorted(command.callback.__name__ for command in app.registered_commands if command.callback)

HELP = """
import sys
from everfresh.cli import main

for words in ([], *([command] for command in sys.argv[1].split(","))):
    sys.argv = ["everfresh", *words, "--help"]
    try:
        main()
    except SystemExit as ending:
        assert ending.code == 0, (words, ending.code)
heavy = {"pandas", "numpy", "pyarrow", "mlflow", "prefect", "sklearn", "scipy", "onnxruntime", "httpx"}
found = sorted(heavy & set(sys.modules))
assert not found, found
"""


def test_every_commands_help_is_there_and_imports_nothing_heavy() -> None:
    command = [sys.executable, "-c", HELP, ",".join(COMMANDS)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Usage: everfresh") == len(COMMANDS) + 1


def test_every_command_is_there() -> None:
    assert COMMANDS == [
        "check", "deploy", "down", "labels", "monitor", "retrain", "rollback", "run", "schema", "score", "status",
        "targets", "train", "up",
    ]  # fmt: skip


def test_the_version_is_said(run: Callable[..., Any]) -> None:
    assert run("--version").out == f"everfresh {__version__}\n"


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["trian", "rides"], "Did you mean 'train'"),
        (["train"], "Missing argument 'project'"),
        (["train", "rides", "--jsn"], "--json"),
        (["train", "rides", "--as-of", "soon"], "soon"),
        (["deploy", "rides", "--version", "0"], "greater than or equal to 1"),
        (["deploy", "rides", "--version", "two"], "Invalid value for '--version'"),
    ],
)
def test_wrong_usage_is_said_and_ends_with_2(
    run: Callable[..., Any], place: Settings, words: list[str], hint: str
) -> None:
    ended = run(*words)

    assert ended.code == 2
    assert hint in ended.err
    assert ended.out == ""
