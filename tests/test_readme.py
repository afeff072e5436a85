from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from everfresh.spec.loading import load_spec

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def readme_writer():
    spec = importlib.util.spec_from_file_location("readme_writer", ROOT / "benchmarks" / "readme.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def block(language: str, holding: str) -> str:
    """The code block of that language that holds a text."""
    blocks = re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)
    return next(text for text in blocks if holding in text)


def test_the_table_in_the_readme_is_the_one_of_the_kept_run(readme_writer):
    kept = json.loads((ROOT / "docs" / "flights-2013.json").read_text(encoding="utf-8"))
    assert readme_writer.with_run(README, kept) == README


def test_the_kept_run_ends_the_year_fresher_than_the_model_that_was_never_retrained():
    kept = json.loads((ROOT / "docs" / "flights-2013.json").read_text(encoding="utf-8"))
    last = kept["months"][-1]
    assert last["month"] == "2013-12"
    assert last["roc_auc"]["served"] > last["roc_auc"]["never_retrained"] > last["roc_auc"]["majority"]
    assert last["log_loss"]["served"] < last["log_loss"]["never_retrained"] < last["log_loss"]["majority"]


def test_the_ten_lines_for_an_own_table_are_a_sound_spec(tmp_path):
    text = block("yaml", "churn.csv")
    file = tmp_path / "churn.yaml"
    file.write_text(text, encoding="utf-8")
    assert load_spec(file).name == "churn"
    assert len([line for line in text.splitlines() if not line.startswith("#")]) <= 10


def test_every_command_of_the_readme_is_one():
    words = set(re.findall(r"^\$ everfresh (\w+)", README, flags=re.MULTILINE))
    told = subprocess.run(
        [sys.executable, "-c", "from everfresh.cli import main; main()", "--help"],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": "/usr/bin:/bin", "COLUMNS": "200"},
        cwd=ROOT,
    ).stdout
    assert words
    assert all(re.search(rf"│ {word} ", told) for word in words)


def test_every_link_of_the_documentation_leads_somewhere():
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    for page in pages:
        for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), f"{page.relative_to(ROOT)} links to {link}"


def test_every_target_of_the_makefile_that_the_readme_names_is_there():
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert set(re.findall(r"^\$ make (\w+)", README, flags=re.MULTILINE)) <= set(targets)


def test_the_worked_example_has_a_comment_on_every_section():
    text = (ROOT / "projects" / "flights.yaml").read_text(encoding="utf-8")
    for section in yaml.safe_load(text):
        line = next(line for line in text.splitlines() if line.startswith(f"{section}:"))
        assert "#" in line, f"{section} has no comment"
