from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_no_module_imports_from_a_layer_above_its_own() -> None:
    command = [sys.executable, "-c", "import sys, importlinter.cli as cli; sys.exit(cli.lint_imports(no_cache=True))"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout
