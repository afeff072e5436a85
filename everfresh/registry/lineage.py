"""What a version was made from: enough to say whether another one would be the same."""

from __future__ import annotations

import hashlib
import subprocess
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path


@dataclass(frozen=True)
class Lineage:
    """The content that a version is made from.

    Attributes:
        trained_from, trained_through: the oldest and the newest training row's time, where the table has times.
        rows: the training rows, without the holdout.
    """

    spec_hash: str
    data_fingerprint: str
    code_revision: str
    parent_version: int | None
    rows: int
    trained_from: datetime | None
    trained_through: datetime | None

    @property
    def key(self) -> str:
        """Equal for equal spec, data and code, whatever the parent: such a version is not trained twice."""
        content = f"{self.spec_hash}\n{self.data_fingerprint}\n{self.code_revision}"
        return hashlib.sha256(content.encode()).hexdigest()[:16]


def code_revision(root: Path) -> str:
    """The checked-out commit, with a digest of what differs from it in tracked files.

    Without the digest, whatever is tried out between two commits would count as the same code. In a container image
    there is no git: there, the file REVISION says what it was built from. `unknown` where there is neither.
    """
    try:
        commit = _git(root, "rev-parse", "--short=12", "HEAD")
        changes = _git(root, "diff", "HEAD", "--full-index", "--no-ext-diff", "--no-color")
    except (OSError, subprocess.CalledProcessError):
        return _built_from(root) or "unknown"
    return f"{commit}+{hashlib.sha256(changes.encode()).hexdigest()[:8]}" if changes else commit


def _built_from(root: Path) -> str:
    try:
        return (root / "REVISION").read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True, errors="replace")  # noqa: S603 - fixed words
    return done.stdout.strip()
