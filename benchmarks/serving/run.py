"""A run: rounds of all servers, one at a time, in another order each round."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.serving.catalogue import CONTESTANTS, NOT_RUN, WORKERS, Contestant, Place
from benchmarks.serving.cells import CELLS, FLOOR, PROCESS, SWAPS
from benchmarks.serving.environments import PINS, last_line, problem_of
from benchmarks.serving.machine import machine_facts
from benchmarks.serving.measure import (
    Run,
    check_answers,
    first_answer,
    keep_answers,
    measure,
    measure_process,
    measure_swaps,
    peer_environment,
)
from benchmarks.serving.models import Model, make_model
from benchmarks.serving.network import is_own_network
from benchmarks.serving.processes import NotServing, Server, running
from benchmarks.serving.results import START, Results, Sample, read_results
from everfresh import __version__
from everfresh.process import free_port

START_S = 240.0
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Plan:
    """What is measured.

    Attributes:
        window: seconds of each window.
        rounds: how often everything is measured.
        peers: the names of the servers.
        cells: the names of the cells.
        models: the names of the models.
        threads: how many threads a worker may compute with; 0 leaves that to it.
        resume: whether what the report has already is kept and not measured again.
        report: where the report is written.
    """

    window: int
    rounds: int
    peers: Sequence[str]
    cells: Sequence[str]
    models: Sequence[str]
    threads: int
    resume: bool
    report: Path


def run(plan: Plan) -> Results:
    """Measure everything of a plan; the report is written after each window."""
    results = read_results(plan.report) if plan.resume else Results()
    results.about = _about(plan, results)
    with tempfile.TemporaryDirectory(prefix="everfresh-bench-", ignore_cleanup_errors=True) as directory:
        for name in plan.models:
            model = make_model(name, Path(directory))
            for round_ in range(plan.rounds):
                for contestant in _in_turn(plan, round_):
                    _measure_one(plan, results, contestant, model, round_, Path(directory))
            if FLOOR in plan.cells:
                _measure_floor(plan, results, model, Path(directory))
    return results


def _measure_one(
    plan: Plan, results: Results, contestant: Contestant, model: Model, round_: int, directory: Path
) -> None:
    open_cells = [
        cell for cell in _cells_of(plan, contestant) if not results.has(contestant.name, model.name, cell, round_)
    ]
    if not open_cells:
        return
    said = f"{model.name}, round {round_ + 1}, {contestant.name}"
    try:
        with _started(contestant, model, directory, plan.threads) as (place, server):
            one = Run(contestant, model, place, server, round_, plan.window)
            difference = check_answers(one)
            for cell in open_cells:
                if cell in CELLS:
                    _keep(plan, results, measure(one, CELLS[cell]), said)
            if PROCESS in open_cells:
                _keep(plan, results, measure_process(one, difference), said)
            if SWAPS in open_cells:
                _keep(plan, results, measure_swaps(one), said)
    except NotServing as problem:
        _keep(plan, results, Sample(contestant.name, model.name, START, round_, problem=str(problem)), said)


@contextmanager
def _started(contestant: Contestant, model: Model, directory: Path, threads: int) -> Iterator[tuple[Place, Server]]:
    """A server with a model, ready."""
    if contestant.is_peer and (problem := problem_of(contestant.name)):
        raise NotServing(problem)
    if contestant.listens_everywhere and not is_own_network():
        raise NotServing("it listens on every address, and this system gives no network namespace to keep it in")
    work = directory / model.name / contestant.name
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    # Its inference log would grow from round to round.
    shutil.rmtree(model.root / "inference", ignore_errors=True)
    place = Place(free_port(), model.stored, model.root, work, model.name)
    environment = peer_environment(contestant, place, threads)
    if contestant.prepare is not None:
        _prepare(contestant.prepare(place), environment, work)
    if contestant.is_floor:
        _copy_answers(model, directory, work, threads)
    with running(
        contestant.command(place),
        environment,
        port=place.port,
        log=work / "server.log",
        answers=first_answer(contestant, model),
        patience_s=START_S,
    ) as server:
        yield place, server


def _copy_answers(model: Model, directory: Path, work: Path, threads: int) -> None:
    """Answers of everfresh for the echo; whoever measures the echo alone starts everfresh for a moment."""
    kept = directory / model.name / "answers"
    if not kept.exists():
        everfresh = next(c for c in CONTESTANTS if c.name == "everfresh")
        with _started(everfresh, model, directory, threads) as (place, server):
            keep_answers(Run(everfresh, model, place, server, 0, 1), kept)
    shutil.copytree(kept, work, dirs_exist_ok=True)


def _prepare(command: Sequence[str], environment: dict[str, str], work: Path) -> None:
    done = subprocess.run(
        command, env={**os.environ, **environment}, cwd=work, capture_output=True, text=True, timeout=START_S
    )
    if done.returncode != 0:
        raise NotServing(f"it could not take the model: {last_line(done.stderr)}")


def _measure_floor(plan: Plan, results: Results, model: Model, directory: Path) -> None:
    for round_ in range(plan.rounds):
        if results.has(FLOOR, model.name, FLOOR, round_):
            continue
        command = [sys.executable, "-m", "benchmarks.serving.in_process", str(directory / model.name / "bundle")]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)
        problem = last_line(done.stderr) if done.returncode != 0 else None
        figures = json.loads(done.stdout) if problem is None else {}
        _keep(plan, results, Sample(FLOOR, model.name, FLOOR, round_, figures, problem), f"{model.name}, {FLOOR}")


def _keep(plan: Plan, results: Results, sample: Sample, said: str) -> None:
    results.add(sample)
    results.write(plan.report)
    figures = ", ".join(f"{name} {value:g}" for name, value in sample.figures.items())
    print(f"{said}, {sample.cell or 'start'}: {sample.problem or figures}", flush=True)


def _cells_of(plan: Plan, contestant: Contestant) -> list[str]:
    """The cells that this server takes part in."""
    return [
        cell
        for cell in plan.cells
        if cell != FLOOR
        and (cell != SWAPS or contestant.name == "everfresh")
        and (cell != "batch-arrow" or contestant.arrow)
    ]


def _in_turn(plan: Plan, round_: int) -> list[Contestant]:
    """The servers in the order of this round: everybody comes first once, and after somebody else."""
    chosen = [contestant for contestant in CONTESTANTS if contestant.name in plan.peers]
    shift = round_ * len(chosen) // plan.rounds
    return chosen[shift:] + chosen[:shift]


def _about(plan: Plan, results: Results) -> dict[str, object]:
    """What the report says of itself; a run that is resumed keeps the facts of its beginning."""
    servers = {*plan.peers, *(sample.server for sample in results.samples)}
    models = {*plan.models, *(sample.model for sample in results.samples)}
    facts = results.about or {
        **machine_facts(),
        "window_s": plan.window,
        "rounds": plan.rounds,
        "threads": plan.threads,
    }
    return {
        **facts,
        "workers": WORKERS,
        "models": sorted(models),
        "own_network": is_own_network(),
        "servers": [
            {"name": c.name, "title": c.title, "version": _version(c), "setting": c.setting}
            for c in CONTESTANTS
            if c.name in servers
        ],
        "not_run": NOT_RUN,
    }


def _version(contestant: Contestant) -> str:
    if contestant.name == "everfresh":
        return __version__
    if not contestant.is_peer:
        from importlib.metadata import version

        return version(contestant.package)
    pins = (PINS / f"{contestant.name}.txt").read_text(encoding="utf-8").splitlines()
    return next(line.split("==")[1].split()[0] for line in pins if line.startswith(f"{contestant.package}=="))
