from __future__ import annotations

import subprocess
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from everfresh.registry.lineage import Lineage, code_revision

LINEAGE = Lineage("s1", "d1", "c1", None, 10, None, None)


def git(root: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    command = ["git", "-C", str(root), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.mark.parametrize("change", [{"spec_hash": "s2"}, {"data_fingerprint": "d2"}, {"code_revision": "c2"}])
def test_other_content_has_another_key(change: dict[str, str]) -> None:
    assert replace(LINEAGE, **change).key != LINEAGE.key  # type: ignore[arg-type]


def test_the_key_is_about_the_content_alone() -> None:
    same = replace(LINEAGE, parent_version=3, rows=99, trained_through=datetime(2013, 1, 1, tzinfo=UTC))
    assert same.key == LINEAGE.key
    assert len(LINEAGE.key) == 16


def test_parts_of_the_content_do_not_run_into_each_other() -> None:
    assert replace(LINEAGE, spec_hash="s1d", data_fingerprint="1").key != replace(LINEAGE, data_fingerprint="d1").key


def test_the_code_revision_says_the_commit_and_whether_files_differ_from_it(tmp_path: Path) -> None:
    assert code_revision(tmp_path) == "unknown"
    git(tmp_path, "init", "-q")
    assert code_revision(tmp_path) == "unknown"
    (tmp_path / "model.py").write_text("1")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "one")
    commit = git(tmp_path, "rev-parse", "--short=12", "HEAD")
    assert code_revision(tmp_path) == commit
    (tmp_path / "untracked.py").write_text("1")
    assert code_revision(tmp_path) == commit
    (tmp_path / "model.py").write_text("2")
    second = code_revision(tmp_path)
    (tmp_path / "model.py").write_bytes(b"\xff3")
    third = code_revision(tmp_path)
    (tmp_path / "model.py").write_text("2")
    assert second.startswith(f"{commit}+")
    assert len({commit, second, third}) == 3
    assert code_revision(tmp_path) == second


def test_without_git_the_code_revision_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert code_revision(tmp_path) == "unknown"
