"""The runner and the flows that it runs: a flow is a process of its own, and survives a runner that is killed."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import psutil

from everfresh import process
from everfresh.settings import Settings
from everfresh.stack.prefect_api import cancel_missed_runs, end_abandoned_runs
from everfresh.stack.services import RUNNER, runner_service

_GRACE_SECONDS = 5.0


def start_runner(settings: Settings) -> None:
    """Let the runner run. Where it did not, what an earlier one left half-done is ended, and Prefect is told so.

    Raises:
        StackError: it cannot be started.
    """
    if process.find(RUNNER, settings.home) is None:
        _end_orphans(settings.home)
        if settings.has_own_prefect:  # on another's server, the pool may have other runners
            end_abandoned_runs(settings.prefect_url)
            cancel_missed_runs(settings.prefect_url)
    process.start(runner_service(settings), settings.home)


def stop_runner(settings: Settings) -> bool:
    """Stop the runner and every flow that it started; says whether there was anything."""
    stopped = process.stop(RUNNER, settings.home)
    return _end_orphans(settings.home) or stopped


def _end_orphans(home: Path) -> bool:
    """End the flows of runners that were killed: nobody waits for them, and a second one may be started beside them."""
    orphans = [each for each in psutil.process_iter() if _is_flow_of(each, home)]
    for orphan in orphans:
        with suppress(psutil.Error):
            orphan.terminate()
    _, alive = psutil.wait_procs(orphans, timeout=_GRACE_SECONDS)
    for orphan in alive:
        with suppress(psutil.Error):
            orphan.kill()
    psutil.wait_procs(alive, timeout=_GRACE_SECONDS)
    return bool(orphans)


def _is_flow_of(candidate: psutil.Process, home: Path) -> bool:
    """Whether it is a flow run's own process; what a flow started, such as an endpoint, only inherits its variables."""
    with suppress(psutil.Error):
        if candidate.cmdline()[1:3] == ["-m", "prefect.engine"]:
            return bool(candidate.environ().get("EVERFRESH_HOME") == str(home))
    return False
