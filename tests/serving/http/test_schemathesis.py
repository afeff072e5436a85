"""The API against its own description, by a tool that others wrote."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("schemathesis") is None, reason="schemathesis is not installed"),
]

# What only the columns of a model can tell is refused with 422, and no schema says it: rows that fit the schema of all
# models need not fit one. And a server that asks nobody who they are lets everybody in.
NOT_CHECKED = "positive_data_acceptance,ignored_auth"


def test_nothing_that_the_description_allows_or_forbids_breaks_the_server(served, tmp_path):
    command = [
        Path(sys.executable).with_name("schemathesis"),
        *("run", f"{served.url}/openapi.json", "--url", served.url, "--header", "X-Model: flights"),
        *("--phases", "examples,coverage,fuzzing", "--max-examples", "40", "--max-failures", "50"),
        *("--exclude-checks", NOT_CHECKED, "--exclude-path-regex", "^/(admin|v2/repository)"),
        *("--suppress-health-check", "all", "--request-timeout", "10", "--no-color"),
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout[-5000:]
    assert served.get("/v2/health/ready").status_code == 200
    assert "Traceback" not in served.said()
