"""Whether the real inference server serves a bundle: it is booted, sent real rows one by one, and stopped."""

from __future__ import annotations

import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from everfresh import process
from everfresh.errors import EverfreshError
from everfresh.evaluation.evidence import Servable
from everfresh.evaluation.metrics import Answer
from everfresh.packaging.bundle import Bundle
from everfresh.packaging.golden import largest_difference
from everfresh.process import Service
from everfresh.serving.access.policy import KEYS
from everfresh.serving.access.tokens import ISSUER
from everfresh.serving.client import Endpoint
from everfresh.serving.versions.state import install_bundle, wait_until_served, want_version

WARM_UP_REQUESTS = 20
LOAD_SECONDS = 30
TOLERANCE = 1e-9

_NAME = "servable"


def try_serving(bundle: Bundle, rows: pd.DataFrame, answer: Answer) -> Servable:
    """Boot the inference server with `bundle` and ask it for each of `rows`.

    Args:
        bundle: what must be served.
        rows: a model frame; each row is a request of its own.
        answer: what the model answers to `rows`; anything else counts as a failure.
    """
    with tempfile.TemporaryDirectory(prefix="everfresh-servable-") as folder:
        home = Path(folder)
        try:
            return _served(bundle, rows, answer, home)
        except EverfreshError as error:
            return Servable(p99_ms=None, requests=0, failures=0, error=str(error).rstrip("."))
        finally:
            process.stop(_NAME, home)


def _served(bundle: Bundle, rows: pd.DataFrame, answer: Answer, home: Path) -> Servable:
    root, port = home / "serving", process.free_port()
    name, version = bundle.manifest.name, bundle.manifest.version or 1
    install_bundle(root, bundle, version=version)
    want_version(root, name, version)
    with Endpoint(f"http://127.0.0.1:{port}") as endpoint:
        process.start(_service(root, port, endpoint), home)
        served = wait_until_served(root, name, version, timedelta(seconds=LOAD_SECONDS))
        if not served.served:
            return Servable(p99_ms=None, requests=0, failures=0, error=served.reason.rstrip("."))
        _ask(endpoint, name, rows.head(WARM_UP_REQUESTS), answer)
        seconds, failures = _ask(endpoint, name, rows, answer)
    return Servable(p99_ms=float(np.quantile(seconds, 0.99)) * 1000, requests=len(rows), failures=failures)


def _service(root: Path, port: int, endpoint: Endpoint) -> Service:
    return Service(
        name=_NAME,
        command=[sys.executable, "-m", "everfresh.serving", "--root", str(root), "--port", str(port)],
        # It asks nobody who they are: it is on this machine, and for this one question.
        environment={KEYS: str(root / "keys.json"), ISSUER: ""},
        port=port,
        port_remedy="Try again.",
        is_ready=endpoint.ready,
        ready_seconds=LOAD_SECONDS,
    )


def _ask(endpoint: Endpoint, name: str, rows: pd.DataFrame, answer: Answer) -> tuple[list[float], int]:
    """How long each request took, in seconds, and how many were refused or answered wrongly."""
    seconds, failures = [], 0
    for position in range(len(rows)):
        row = rows.iloc[position : position + 1]
        started = time.perf_counter()
        try:
            given = endpoint.predict(name, row).answer
        except EverfreshError:
            failures += 1
        else:
            failures += largest_difference(answer[position : position + 1], given) > TOLERANCE
        seconds.append(time.perf_counter() - started)
    return seconds, failures
