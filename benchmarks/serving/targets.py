"""What everfresh wants to reach, and whether it did."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.serving.cells import PROCESS, SWAPS
from benchmarks.serving.figures import Figures, ratio

SINGLES = {"single-1": 20.0, "single-16": 15.0, "single-64": 25.0}
BATCHES = {"batch-json": 5.0, "batch-arrow": 10.0}


@dataclass(frozen=True)
class Result:
    """One target.

    Attributes:
        what: what is looked at.
        target: what it should be, in words.
        measured: what it is, in words.
        met: whether it is so; None where it could not be measured.
    """

    what: str
    target: str
    measured: str
    met: bool | None


def judge_targets(figures: Figures, model: str, peers: Sequence[str], workers: int) -> list[Result]:
    """All targets for one model, beside what was measured."""
    return [
        *(_times_the_best(figures, model, peers, cell, wanted) for cell, wanted in {**SINGLES, **BATCHES}.items()),
        _share_of_echo(figures, model),
        *(_p99_below_p50(figures, model, peers, cell) for cell in SINGLES),
        _over_echo(figures, model),
        _at_most(figures.value("everfresh", model, PROCESS, "start_s"), 1.5, "start to the first good answer", "s"),
        _at_most(
            _per(figures.value("everfresh", model, PROCESS, "memory_mb"), workers), 120, "memory of a worker", "MB"
        ),
        _swaps(figures, model),
    ]


def _times_the_best(figures: Figures, model: str, peers: Sequence[str], cell: str, wanted: float) -> Result:
    ours = figures.value("everfresh", model, cell, "rows_per_s")
    # Nobody else reads Arrow: those batches are compared with the others' JSON.
    best = figures.best(peers, model, cell.replace("arrow", "json"), "rows_per_s")
    times = ratio(ours, best[1] if best else None)
    return _result(
        f"{cell}: rows/s, times the best peer's",
        f"at least {wanted:g} x",
        f"{times:.1f} x {best[0]}" if times is not None and best is not None else None,
        times,
        lambda value: value >= wanted,
    )


def _share_of_echo(figures: Figures, model: str) -> Result:
    ours, echo = (figures.value(server, model, "single-64", "requests_per_s") for server in ("everfresh", "echo"))
    share = ratio(ours, echo)
    return _result(
        "single-64: requests/s, share of the bare echo's",
        "at least 75 %",
        f"{100 * share:.0f} %" if share is not None else None,
        share,
        lambda value: value >= 0.75,
    )


def _p99_below_p50(figures: Figures, model: str, peers: Sequence[str], cell: str) -> Result:
    ours = figures.value("everfresh", model, cell, "p99_ms")
    lowest = figures.lowest(peers, model, cell, "p50_ms")
    share = ratio(ours, lowest[1] if lowest else None)
    return _result(
        f"{cell}: p99, beside the lowest p50 of a peer",
        "below it",
        f"{ours:.2f} ms beside {lowest[1]:.2f} ms ({lowest[0]})" if ours is not None and lowest is not None else None,
        share,
        lambda value: value < 1,
    )


def _over_echo(figures: Figures, model: str) -> Result:
    ours, echo = (figures.value(server, model, "single-1", "p50_ms") for server in ("everfresh", "echo"))
    over = ours - echo if ours is not None and echo is not None else None
    return _at_most(over, 0.3, "single-1: p50 over the bare echo's", "ms")


def _swaps(figures: Figures, model: str) -> Result:
    during = figures.value("everfresh", model, SWAPS, "p99_ms")
    steady = figures.value("everfresh", model, SWAPS, "steady_p99_ms")
    times = ratio(during, steady)
    return _result(
        "p99 while the version is swapped once a second",
        "at most 2 x that without, no error",
        f"{times:.2f} x ({during:.2f} beside {steady:.2f} ms)" if times is not None else None,
        times,
        lambda value: value <= 2,
    )


def _at_most(value: float | None, limit: float, what: str, unit: str) -> Result:
    measured = f"{value:.2f} {unit}" if value is not None else None
    return _result(what, f"at most {limit:g} {unit}", measured, value, lambda it: it <= limit)


def _result(
    what: str, target: str, measured: str | None, value: float | None, holds: Callable[[float], bool]
) -> Result:
    if value is None or measured is None:
        return Result(what, target, "not measured", None)
    return Result(what, target, measured, holds(value))


def _per(value: float | None, count: int) -> float | None:
    return value / count if value is not None else None
