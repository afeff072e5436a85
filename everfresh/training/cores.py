"""A fair share of the cores for each fit, when several run side by side and other processes beside them.

The threads of OpenMP and BLAS wait for each other by spinning. Where one of them is not let run, because there are more
of them than cores or because another program needs a core, all the others burn their time: on a busy machine with two
cores, boosting took 50 seconds with two threads and 2 seconds with one, for the same model.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from threadpoolctl import ThreadpoolController

_lock = threading.Lock()
_fits = 0


@contextmanager
def fair_share() -> Iterator[None]:
    """While the block runs, its fit has its share of all cores but one, which is left to the rest of the machine.

    The share is for OpenMP, whose limit belongs to a thread. BLAS has one limit for the process, and it is a single
    thread while any fit runs: its sums then do not depend on how many cores there are, and neither does the model.
    """
    openmp = _openmp()
    side_by_side = _enter()
    limited = openmp.limit(limits=_share(openmp, side_by_side))
    try:
        yield
    finally:
        limited.restore_original_limits()
        _leave()


def _share(openmp: ThreadpoolController, side_by_side: int) -> int:
    """Of the threads that OpenMP would take: those follow the cores of this process, and OMP_NUM_THREADS."""
    usual = max((int(library["num_threads"]) for library in openmp.info()), default=1)
    return max(1, (usual - 1) // side_by_side)


def _enter() -> int:
    """How many fits run now, with this one. The first one in takes BLAS down to a single thread."""
    global _fits
    with _lock:
        if _fits == 0:
            _let_blas_have({file: 1 for file in _usual_blas()})
        _fits += 1
        return _fits


def _leave() -> None:
    """The last one out gives BLAS its threads back: an earlier one would do so under the fits that still run."""
    global _fits
    with _lock:
        _fits -= 1
        if _fits == 0:
            _let_blas_have(_usual_blas())


def _let_blas_have(threads: dict[str, int]) -> None:
    # A thread that sets a limit keeps the right to set it until it leaves a `with` block of threadpoolctl, and here
    # another thread than the one that lowered it may have to raise it again.
    with _blas().select(user_api="none").limit():
        _blas().limit(limits=threads)


@cache
def _usual_blas() -> dict[str, int]:
    """How many threads each BLAS library had before the first fit of this process."""
    return {library["filepath"]: library["num_threads"] for library in _blas().info()}


# What is loaded is looked up once: whoever fits has imported scikit-learn, and with it all that counts.
@cache
def _blas() -> ThreadpoolController:
    return ThreadpoolController().select(user_api="blas")


@cache
def _openmp() -> ThreadpoolController:
    return ThreadpoolController().select(user_api="openmp")
