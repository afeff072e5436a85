"""`python -m benchmarks.serving`: measure, and write reports/bench-serving.json and docs/benchmarks.md.

A quick run, or one with a report of its own, leaves its page beside that report.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from shutil import which

from benchmarks.serving import cells
from benchmarks.serving.catalogue import CONTESTANTS
from benchmarks.serving.environments import make_environment
from benchmarks.serving.network import enter_own_network

REPORTS = Path(__file__).parents[2] / "reports"
MODELS = ("boosting", "logistic")
QUICK_WINDOW_S = 2


def main() -> int:
    """Make the environments, go where nobody else can listen, measure, and write the page."""
    given = _arguments()
    if which("wrk") is None:
        print("The load comes from wrk, which is not installed: `apt install wrk`, or `brew install wrk`.")
        return 1
    for contestant in CONTESTANTS:
        if contestant.is_peer and contestant.name in given.peers:
            problem = make_environment(contestant.name)
            if problem:
                print(f"{contestant.name}: {problem}")
    enter_own_network()

    # Only now: what comes with these starts threads, and a namespace is entered by a fresh process.
    from benchmarks.serving.page import PAGE, REPORT, write_page
    from benchmarks.serving.run import Plan, run

    # A run that is told to stop stops its servers first.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    window, rounds = (QUICK_WINDOW_S, 1) if given.quick else (given.window, given.rounds)
    plan = Plan(window, rounds, given.peers, given.cells, given.models, given.threads, given.resume, given.report)
    results = run(plan)
    # Only a whole run, by its own settings, is documentation.
    write_page(results, PAGE if given.report == REPORT else given.report.with_suffix(".md"))
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving", description=__doc__)
    names = [contestant.name for contestant in CONTESTANTS]
    parser.add_argument("--window", type=int, default=15, help="seconds of each window (default: 15)")
    parser.add_argument("--rounds", type=int, default=3, help="how often everything is measured (default: 3)")
    parser.add_argument("--peers", type=_some_of(names), default=names, help=f"some of {','.join(names)}")
    parser.add_argument("--cells", type=_some_of(cells.ALL), default=cells.ALL, help=f"some of {','.join(cells.ALL)}")
    parser.add_argument("--models", type=_some_of(MODELS), default=MODELS, help=f"some of {','.join(MODELS)}")
    parser.add_argument("--quick", action="store_true", help="one round of two seconds: whether everything works")
    threads = "threads that a worker may compute with (default: 1, for the workers share the cores; 0: as it likes)"
    parser.add_argument("--threads", type=int, default=1, help=threads)
    parser.add_argument("--resume", action="store_true", help="keep what the report has and measure the rest")
    parser.add_argument("--report", type=Path, help="where the report goes (default: reports/bench-serving.json)")
    given = parser.parse_args()
    given.report = given.report or REPORTS / ("bench-serving-quick.json" if given.quick else "bench-serving.json")
    return given


def _some_of(names: Sequence[str]) -> Callable[[str], list[str]]:
    """Reads names separated by commas, all of them known."""

    def names_in(text: str) -> list[str]:
        chosen = text.split(",")
        if unknown := [name for name in chosen if name not in names]:
            raise argparse.ArgumentTypeError(f"{unknown[0]!r} is none of {', '.join(names)}")
        return chosen

    return names_in


if __name__ == "__main__":
    sys.exit(main())
