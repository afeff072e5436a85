"""Which failures are worth another try: a server that was away may be back, a user's mistake stays one."""

from __future__ import annotations

from typing import Any

from prefect.client.schemas.objects import State, TaskRun

from everfresh.errors import EverfreshError


def may_heal(task: Any, run: TaskRun, state: State) -> bool:
    """Whether a failed task may succeed when it is tried again."""
    try:
        state.result()
    except EverfreshError as error:
        return error.may_heal
    except OSError:  # connections, time-outs, disks
        return True
    except Exception:
        return False
    return False
