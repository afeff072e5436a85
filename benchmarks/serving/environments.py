"""An environment of its own for each peer, outside the checkout, made once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

PINS = Path(__file__).parent / "peers"
MARK = ".pins"


def cache_directory() -> Path:
    """Where environments and models are kept between runs."""
    kept = os.environ.get("EVERFRESH_BENCH_CACHE")
    return Path(kept) if kept else Path.home() / ".cache" / "everfresh-bench"


def python_of(peer: str) -> Path:
    """The interpreter of a peer's environment, whether it has been made or not."""
    return cache_directory() / peer / "bin" / "python"


def make_environment(peer: str) -> str | None:
    """Install what a peer needs, unless it is there; the reason why it could not be, if so.

    The pins are kept beside what was installed by them: an environment of other pins is brought up to date.
    """
    pins = (PINS / f"{peer}.txt").read_text(encoding="utf-8")
    home = cache_directory() / peer
    mark = home / MARK
    if mark.exists() and mark.read_text(encoding="utf-8") == pins:
        return None
    uv = str(Path(sys.executable).with_name("uv"))
    python = str(python_of(peer))
    home.parent.mkdir(parents=True, exist_ok=True)
    steps = [
        [uv, "venv", "--quiet", "--allow-existing", "--python", sys.executable, str(home)],
        [uv, "pip", "sync", "--quiet", "--python", python, str(PINS / f"{peer}.txt")],
    ]
    for step in steps:
        done = subprocess.run(step, capture_output=True, text=True)
        if done.returncode != 0:
            _problem_file(peer).write_text(f"its environment could not be made: {last_line(done.stderr)}")
            return problem_of(peer)
    mark.write_text(pins, encoding="utf-8")
    _problem_file(peer).unlink(missing_ok=True)
    return None


def problem_of(peer: str) -> str | None:
    """Why a peer's environment could not be made when that was tried last."""
    file = _problem_file(peer)
    return file.read_text() if file.exists() else None


def last_line(text: str) -> str:
    """The last line that says something, which is where programs say why they ended."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "it said nothing"


def _problem_file(peer: str) -> Path:
    return cache_directory() / f"{peer}.problem"
