"""The one place of the library that knows that flows exist: it starts them, and imports nothing of Prefect itself."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

from everfresh.errors import FlowsNotFound, MissingExtra
from everfresh.settings import Settings
from everfresh.stack.prefect_server import reach_prefect
from everfresh.stack.services import prefect_environment

FLOWS = ("train", "deploy", "monitor", "retrain", "rollback", "score")


def flow(name: str, settings: Settings, *, quiet: bool = True) -> Callable[..., Any]:
    """The flow of that name, ready to be called in this process and recorded by a Prefect server.

    Where no server runs, one is started for the time of this process; the runs are kept all the same. Prefect reads
    its settings once, so all flows of a process go to the server of the first.

    Args:
        name: one of `FLOWS`.
        settings: where the server is and where its state lies.
        quiet: nothing of Prefect's on the terminal; what happened is in the result or the error, and in the Prefect UI.

    Raises:
        PrefectUnreachable: PREFECT_API_URL names a server that does not answer.
        FlowsNotFound: the flows are not where the settings say that the checkout is.
        MissingExtra: Prefect is not installed.
    """
    if not (settings.root / "flows" / f"{name}.py").is_file():
        raise FlowsNotFound(settings.root)
    if find_spec("prefect") is None:
        raise MissingExtra("Running flows", "prefect")
    _prepare(settings, quiet=quiet)
    found: Callable[..., Any] = getattr(importlib.import_module(f"flows.{name}"), name)
    return found


def _prepare(settings: Settings, *, quiet: bool) -> None:
    environment = prefect_environment(settings)
    environment["PREFECT_API_URL"] = reach_prefect(settings)
    if quiet:
        # The handler, not the loggers: the Prefect UI still gets every line.
        environment["PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL"] = "CRITICAL"
    os.environ.update(environment)
    if str(settings.root) not in sys.path:
        sys.path.insert(0, str(settings.root))
