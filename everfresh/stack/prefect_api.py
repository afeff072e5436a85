"""What the stack asks a Prefect server, and what it tells it, over HTTP."""

from __future__ import annotations

import base64
import os
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import httpx

from everfresh.errors import PrefectRefused

WORK_POOL = "everfresh"

_PROBE_SECONDS = 2.0
_CALL_SECONDS = 30.0
_TRIES = 5


def is_healthy(api: str) -> bool:
    """Whether a Prefect server answers there."""
    try:
        return httpx.get(f"{api}/health", headers=_authorization(), timeout=_PROBE_SECONDS).is_success
    except httpx.HTTPError:
        return False


def worker_reported_since(api: str, moment: float) -> bool:
    """Whether a worker of the pool has reported after that moment, in seconds since 1970."""
    try:
        answer = httpx.post(
            f"{api}/work_pools/{WORK_POOL}/workers/filter", json={}, headers=_authorization(), timeout=_PROBE_SECONDS
        )
        workers = answer.raise_for_status().json()
    except (httpx.HTTPError, ValueError):
        return False
    reports = [worker["last_heartbeat_time"] for worker in workers if worker.get("last_heartbeat_time")]
    return any(datetime.fromisoformat(report).timestamp() >= moment for report in reports)


def make_work_pool(api: str) -> None:
    """Let the pool exist that the deployments name; one that is there stays as it is.

    Raises:
        PrefectRefused: the server does not do it.
    """
    _post(api, "work_pools/", {"name": WORK_POOL, "type": "process"}, accept=(httpx.codes.CONFLICT,))


def end_abandoned_runs(api: str) -> int:
    """Say of every run of the pool that began and did not end that it crashed; how many there were.

    Only true while the pool has no worker. Such a run would be shown as running for ever, and keep the one slot of its
    deployment: every later run would be cancelled.

    Raises:
        PrefectRefused: the server does not do it.
    """
    begun = {"state": {"type": {"any_": ["PENDING", "RUNNING", "CANCELLING"]}}}
    abandoned = _runs(api, {"flow_runs": begun, "work_pools": {"name": {"any_": [WORK_POOL]}}})
    level = abandoned
    while level:
        # The flows that they called are runs of their own, and of no pool.
        level = _runs(api, {"flow_runs": {**begun, "parent_flow_run_id": {"any_": level}}})
        abandoned += level
    crashed = {"type": "CRASHED", "name": "Crashed", "message": "The runner ended while this run was going on."}
    for run in abandoned:
        _post(api, f"flow_runs/{run}/set_state", {"state": crashed})
    return len(abandoned)


def cancel_missed_runs(api: str) -> int:
    """Of the runs of a schedule that no runner was there for, leave the last one; how many were cancelled.

    A flow looks at the world as it is when it starts, so one of them does what all would do.

    Raises:
        PrefectRefused: the server does not do it.
    """
    missed = {
        "state": {"type": {"any_": ["SCHEDULED"]}},
        "expected_start_time": {"before_": datetime.now(UTC).isoformat()},
    }
    which = {"flow_runs": missed, "work_pools": {"name": {"any_": [WORK_POOL]}}, "sort": "EXPECTED_START_TIME_DESC"}
    cancelled = {"type": "CANCELLED", "name": "Cancelled", "message": "No runner was there; a later run does the same."}
    kept: set[str] = set()
    count = 0
    for run in _post(api, "flow_runs/filter", which).json():
        if run["auto_scheduled"] and run["deployment_id"] in kept:
            _post(api, f"flow_runs/{run['id']}/set_state", {"state": cancelled})
            count += 1
        elif run["auto_scheduled"]:
            kept.add(run["deployment_id"])
    return count


def _runs(api: str, which: dict[str, Any]) -> list[str]:
    return [run["id"] for run in _post(api, "flow_runs/filter", which).json()]


def _post(api: str, path: str, body: dict[str, Any], accept: Sequence[int] = ()) -> httpx.Response:
    """The answer. A server on SQLite says "try again" when its database is locked."""
    for attempt in range(_TRIES):
        try:
            answer = httpx.post(f"{api}/{path}", json=body, headers=_authorization(), timeout=_CALL_SECONDS)
        except httpx.HTTPError as error:
            raise PrefectRefused(api, str(error) or type(error).__name__) from error
        if answer.is_success or answer.status_code in accept:
            return answer
        if answer.status_code not in (httpx.codes.SERVICE_UNAVAILABLE, httpx.codes.TOO_MANY_REQUESTS):
            break
        time.sleep(2**attempt / 4)
    raise PrefectRefused(api, f"{answer.status_code} {answer.text[:300]}")


def _authorization() -> dict[str, str]:
    """As Prefect's own client does it: a key of its cloud, or the user and password of a server."""
    if key := os.environ.get("PREFECT_API_KEY"):
        return {"Authorization": f"Bearer {key}"}
    if user_and_password := os.environ.get("PREFECT_API_AUTH_STRING"):
        return {"Authorization": f"Basic {base64.b64encode(user_and_password.encode()).decode()}"}
    return {}
