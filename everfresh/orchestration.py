"""The one place of the library that knows that flows exist: it starts them, and imports nothing of Prefect itself."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from typing import Any

from everfresh.errors import MissingExtra, PrefectUnreachable, StackError
from everfresh.settings import Settings
from everfresh.stack.services import answers, prefect_environment

FLOWS = ("train", "deploy", "monitor", "retrain", "rollback", "score")


def flow(name: str, settings: Settings, *, quiet: bool = True) -> Callable[..., Any]:
    """The flow of that name, ready to be called in this process and recorded by the Prefect server.

    Where no server runs, Prefect starts one for the time of this process; the runs are kept all the same.

    Args:
        name: one of `FLOWS`.
        settings: where the server is and where its state lies.
        quiet: show warnings only; what happened is in the result, and in the Prefect UI.

    Raises:
        PrefectUnreachable: PREFECT_API_URL names a server that does not answer.
        MissingExtra: Prefect is not installed.
    """
    _prepare(settings, quiet=quiet)
    try:
        module = importlib.import_module(f"flows.{name}")
    except ModuleNotFoundError as error:
        if error.name == "prefect":
            raise MissingExtra("Running flows", "prefect") from error
        if error.name in ("flows", f"flows.{name}"):
            raise FlowsNotFound(str(settings.root)) from error
        raise
    found: Callable[..., Any] = getattr(module, name)
    return found


class FlowsNotFound(StackError):
    """The flows travel as source, beside the wheel, and are not here."""

    def __init__(self, root: str) -> None:
        super().__init__(f"There is no flows/ in {root}. Run the command in a checkout of everfresh, or set EVERFRESH_ROOT.")


def _prepare(settings: Settings, *, quiet: bool) -> None:
    chosen = os.environ.get("PREFECT_API_URL")
    reachable = answers(f"{settings.prefect_url}/health")
    if chosen and not reachable:
        raise PrefectUnreachable(chosen)
    environment = prefect_environment(settings)
    if not reachable:
        environment.pop("PREFECT_API_URL", None)
        environment["PREFECT_SERVER_ALLOW_EPHEMERAL_MODE"] = "true"
    if quiet:
        environment["PREFECT_LOGGING_LEVEL"] = "WARNING"
    for name, value in environment.items():
        os.environ.setdefault(name, value)
    if str(settings.root) not in sys.path:
        sys.path.insert(0, str(settings.root))
