"""The `prefect` command as a process of the stack: `python -m everfresh.stack.prefect_command [--while PID] WORD...`.

With `--while`, it ends with the process of that number, which must be the one that started it.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading
import time

_LOOK_SECONDS = 0.5


def main() -> None:
    """Run the command in this process."""
    # A worker hands SIGTERM on to itself as SIGINT. A shell that starts something in the background has that ignored,
    # and the worker would go on for ever.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    words = sys.argv[1:]
    if words[:1] == ["--while"]:
        owner, words = int(words[1]), words[2:]
        threading.Thread(target=_end_with, args=(owner,), daemon=True).start()
    sys.argv = ["prefect", *words]
    runpy.run_module("prefect", run_name="__main__", alter_sys=True)


def _end_with(owner: int) -> None:
    """Whoever loses its parent is given another one, which is how a kill -9 of the parent is noticed as well."""
    while os.getppid() == owner:
        time.sleep(_LOOK_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
