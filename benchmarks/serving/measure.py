"""One server, from its start to its end: are its answers right, and how does it do in every cell."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.serving import bodies
from benchmarks.serving.catalogue import APPS, Contestant, Place
from benchmarks.serving.cells import CELLS, PROCESS, SWAPS, Cell
from benchmarks.serving.environments import python_of
from benchmarks.serving.load import LoadFailed, run_load, write_bodies
from benchmarks.serving.machine import busy_cpu_s
from benchmarks.serving.models import Model, Question
from benchmarks.serving.processes import NotServing, Server
from benchmarks.serving.results import Sample
from everfresh.serving.versions.state import want_version

# What may lie between a server's probabilities and scikit-learn's: everfresh's own limit for a compiled plan.
TOLERANCE = 1e-6
CHECKED_SINGLES = 64
SWAP_EVERY_S = 1.0
SWAP_CONNECTIONS = 16


@dataclass(frozen=True)
class Run:
    """One server with one model in one round.

    Attributes:
        contestant: who.
        model: what it serves.
        place: where.
        server: as it runs.
        round: which round it is.
        window_s: how long a window is.
    """

    contestant: Contestant
    model: Model
    place: Place
    server: Server
    round: int
    window_s: int

    def sample(self, cell: str, problem: str | None = None, **figures: float) -> Sample:
        """A sample of this run."""
        rounded = {name: float(f"{value:.6g}") for name, value in figures.items()}
        return Sample(self.contestant.name, self.model.name, cell, self.round, rounded, problem)

    @property
    def url(self) -> str:
        """Where the server is asked."""
        return f"http://127.0.0.1:{self.place.port}{self.contestant.path(self.model.name)}"


def first_answer(contestant: Contestant, model: Model) -> Callable[[Server], bool]:
    """Whether a server answers its first row, and well."""
    question = model.singles[0]
    path, body = contestant.path(model.name), contestant.write(question.rows)

    def answers(server: Server) -> bool:
        status, answer = server.ask(path, bodies.JSON, body, timeout_s=10.0)
        if status != 200:
            return False
        return contestant.is_floor or _difference(contestant.read(answer), question) <= TOLERANCE

    return answers


def check_answers(run: Run) -> float:
    """The largest difference to scikit-learn's probabilities, over single rows and a batch.

    Raises:
        NotServing: it is too large, or there is an error instead of an answer.
    """
    if run.contestant.is_floor:
        return 0.0
    differences = [_asked(run, CELLS["single-1"], question) for question in run.model.singles[:CHECKED_SINGLES]]
    differences.append(_asked(run, CELLS["batch-json"], run.model.batches[0]))
    worst = max(differences)
    if worst > TOLERANCE:
        raise NotServing(f"its answers are up to {worst:.2g} away from scikit-learn's")
    return worst


def measure(run: Run, cell: Cell) -> Sample:
    """One window of load: warmed up before, drained before and after."""
    questions = _questions(run.model, cell)
    try:
        if not run.contestant.is_floor and _asked(run, cell, questions[-1]) > TOLERANCE:
            return run.sample(cell.name, "its answers are not scikit-learn's")
    except NotServing as problem:
        return run.sample(cell.name, str(problem))
    write, headers = _form(run.contestant, cell)
    file = write_bodies([write(question.rows) for question in questions], run.place.work / f"{cell.name}.bodies")
    try:
        run_load(run.url, headers, file, connections=cell.connections, seconds=max(1, run.window_s // 5))
        run.server.drain()
        cpu_before, busy_before = run.server.cpu_s(), busy_cpu_s()
        load = run_load(run.url, headers, file, connections=cell.connections, seconds=run.window_s)
        cpu_s, busy_s = run.server.cpu_s() - cpu_before, busy_cpu_s() - busy_before
        run.server.drain()
        if not run.contestant.is_floor and _asked(run, cell, questions[0]) > TOLERANCE:
            return run.sample(cell.name, "after the load, its answers are not scikit-learn's")
    except (LoadFailed, NotServing) as problem:
        return run.sample(cell.name, str(problem))
    if load.errors or not load.requests:
        return run.sample(cell.name, f"{load.errors} errors beside {load.requests} answers")
    return run.sample(
        cell.name,
        requests_per_s=load.requests_per_s,
        rows_per_s=load.requests_per_s * cell.rows,
        p50_ms=load.p50_ms,
        p99_ms=load.p99_ms,
        cpu_ms=1e3 * cpu_s / load.requests,
        generator_cpu_ms=1e3 * load.generator_cpu_s / load.requests,
        others_cores=max(0.0, busy_s - cpu_s - load.generator_cpu_s) / load.seconds,
    )


def measure_process(run: Run, difference: float) -> Sample:
    """Start-up and memory, after the load."""
    return run.sample(
        PROCESS, start_s=run.server.start_s, memory_mb=run.server.memory_mb(), largest_difference=difference
    )


def measure_swaps(run: Run) -> Sample:
    """A window without swaps, and one in which the version is swapped once a second."""
    cell = CELLS["single-16"]
    write, headers = _form(run.contestant, cell)
    file = write_bodies([write(question.rows) for question in run.model.singles], run.place.work / "swaps.bodies")
    try:
        run_load(run.url, headers, file, connections=SWAP_CONNECTIONS, seconds=max(1, run.window_s // 5))
        steady = run_load(run.url, headers, file, connections=SWAP_CONNECTIONS, seconds=run.window_s)
        with _swapping(run.model.root, run.model.name) as swaps:
            swapped = run_load(run.url, headers, file, connections=SWAP_CONNECTIONS, seconds=run.window_s)
    except LoadFailed as problem:
        return run.sample(SWAPS, str(problem))
    if steady.errors + swapped.errors:
        return run.sample(SWAPS, f"{swapped.errors} errors during swaps, {steady.errors} without")
    return run.sample(
        SWAPS,
        p50_ms=swapped.p50_ms,
        p99_ms=swapped.p99_ms,
        requests_per_s=swapped.requests_per_s,
        steady_p50_ms=steady.p50_ms,
        steady_p99_ms=steady.p99_ms,
        steady_requests_per_s=steady.requests_per_s,
        swaps=len(swaps),
    )


def keep_answers(run: Run, directory: Path) -> None:
    """Keep answers of everfresh, as long as the echo's should be."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, cell in (("single", CELLS["single-1"]), ("batch", CELLS["batch-json"])):
        write, headers = _form(run.contestant, cell)
        body = write(_questions(run.model, cell)[0].rows)
        (directory / name).write_bytes(run.server.ask(run.contestant.path(run.model.name), headers, body)[1])


def peer_environment(contestant: Contestant, place: Place, threads: int) -> dict[str, str]:
    """What every process is given: its model, and how many threads a worker may compute with (0: as it likes)."""
    common = {"EVERFRESH_BENCH_MODEL": str(place.stored), "PYTHONUNBUFFERED": "1"}
    if threads:
        common["OMP_NUM_THREADS"] = str(threads)
    if contestant.is_peer:
        # Some start others by name, and some write into the home directory.
        path = f"{python_of(contestant.name).parent}:{os.environ['PATH']}"
        common |= {"PYTHONPATH": str(APPS), "HOME": str(place.work), "PATH": path}
    return {**common, **contestant.environment(place)}


@contextmanager
def _swapping(root: Path, name: str) -> Iterator[list[int]]:
    """Swap between versions 1 and 2 until the end of the block; the versions that were asked for."""
    asked: list[int] = []
    done = threading.Event()

    def swap() -> None:
        while not done.wait(SWAP_EVERY_S):
            asked.append(2 - len(asked) % 2)
            want_version(root, name, asked[-1])

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        yield asked
    finally:
        done.set()
        thread.join()
        want_version(root, name, 1)


def _asked(run: Run, cell: Cell, question: Question) -> float:
    """The difference of one answer to scikit-learn's."""
    write, headers = _form(run.contestant, cell)
    status, answer = run.server.ask(run.contestant.path(run.model.name), headers, write(question.rows))
    if status != 200:
        raise NotServing(f"it answered {status}: {answer[:200].decode(errors='replace')}")
    return _difference(run.contestant.read(answer), question)


def _form(contestant: Contestant, cell: Cell) -> tuple[bodies.Write, dict[str, str]]:
    if cell.form == "arrow":
        return bodies.arrow, bodies.ARROW
    return (contestant.write_batch or contestant.write) if cell.rows > 1 else contestant.write, bodies.JSON


def _questions(model: Model, cell: Cell) -> Sequence[Question]:
    return model.singles if cell.rows == 1 else model.batches


def _difference(answer: np.ndarray, question: Question) -> float:
    if answer.shape != question.expected.shape:
        return float("inf")
    return float(np.abs(answer - question.expected).max())
