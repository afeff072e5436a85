"""docs/benchmarks.md from the report: `python -m benchmarks.serving.page`. Nothing in it is typed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.serving.cells import CELLS, FLOOR, PROCESS, SWAPS
from benchmarks.serving.figures import Figures, ratio
from benchmarks.serving.models import BATCH_ROWS, CATEGORIES, NUMBERS
from benchmarks.serving.results import START, Results, read_results
from benchmarks.serving.targets import judge_targets
from everfresh.markdown import markdown_table

ROOT = Path(__file__).parents[2]
REPORT = ROOT / "reports" / "bench-serving.json"
PAGE = ROOT / "docs" / "benchmarks.md"
# From here on, others' work shows in the figures.
DISTURBED_CORES = 0.2

Row = tuple[str, ...]


def write_page(results: Results, file: Path = PAGE) -> None:
    """Write the page of a report."""
    file.write_text(page(results), encoding="utf-8")


def page(results: Results) -> str:
    """The page."""
    figures = Figures(results.samples)
    parts = [_opening(results.about, figures.rounds_begun()), _servers(results.about), _quietness(results)]
    for model in results.about["models"]:
        parts += _model_parts(figures, results.about, model)
    parts.append(_missing(figures, results.about))
    return "\n\n".join(part for part in parts if part) + "\n"


def _opening(about: Mapping[str, Any], begun: int) -> str:
    libraries = ", ".join(f"{name} {version}" for name, version in about["libraries"].items())
    sizes = f"{len(NUMBERS)} numbers with four decimals, {len(CATEGORIES)} categories"
    values = f"{min(CATEGORIES.values())} to {max(CATEGORIES.values())} values"
    return f"""# Benchmarks: serving

Measured by `make bench-serving` on {about["date"]} at revision `{about["revision"]}`; that command writes this page.

The same fitted scikit-learn pipelines ({sizes} of {values}; boosting of 100 trees, or a logistic regression)
on every server, each in an environment of its own, one at a time, {about["workers"]} workers, {_threads(about)}.
Load from wrk (closed loop, one thread, kept-alive connections) on the same machine; {_rounds(about, begun)},
windows of {about["window_s"]} s after a warm-up, drained in between. The figures are medians of the rounds. Every
server's answers are compared with scikit-learn's before, and before and after each window; a window with an error
does not count.

{about["cores"]} cores ({about["processor"]}), {about["memory_gb"]} GB, {about["system"]}, Python {about["python"]};
{libraries}. Load average before: {about["load_before"]}. {_network(about)}"""


def _rounds(about: Mapping[str, Any], begun: int) -> str:
    planned = f"{about['rounds']} {'round' if about['rounds'] == 1 else 'rounds'} in turn"
    return planned if begun >= about["rounds"] else f"{begun} of {planned}, for the run was cut off"


def _threads(about: Mapping[str, Any]) -> str:
    if about["threads"] == 0:
        return "as many computing threads as they like"
    return f"`OMP_NUM_THREADS={about['threads']}` (scikit-learn's advice for processes that share the cores)"


def _network(about: Mapping[str, Any]) -> str:
    if about["own_network"]:
        return "Everything ran in a network namespace that has 127.0.0.1 and nothing else."
    return "The system gave no network namespace, so servers that listen on every address were left out."


def _servers(about: Mapping[str, Any]) -> str:
    rows = [(server["title"], server["version"], server["setting"]) for server in about["servers"]]
    return markdown_table(("server", "version", "setting"), rows)


def _quietness(results: Results) -> str:
    """What else the machine did: figures of a busy machine say less."""
    others = [s.figures["others_cores"] for s in results.samples if "others_cores" in s.figures]
    disturbed = sum(cores > DISTURBED_CORES for cores in others)
    if not disturbed:
        return f"In none of the {len(others)} windows did anything else take more than {DISTURBED_CORES} cores."
    return (
        f"**In {disturbed} of {len(others)} windows, other programs took more than {DISTURBED_CORES} cores** (up to "
        f"{max(others):.1f}): compare ratios, not rates, and measure again on a quiet machine."
    )


def _model_parts(figures: Figures, about: Mapping[str, Any], model: str) -> list[str]:
    titles = {server["name"]: server["title"] for server in about["servers"]}
    peers = [name for name in titles if name not in ("everfresh", "echo")]
    targets = judge_targets(figures, model, peers, about["workers"])
    words = {True: "yes", False: "**no**", None: "?"}
    return [
        f"## {model.capitalize()}",
        markdown_table(
            ("target", "asked", "measured", "met"), [(t.what, t.target, t.measured, words[t.met]) for t in targets]
        ),
        "### Single rows",
        "Requests a second · p50 / p99 in ms · processor time of all of the server's processes in ms a request. "
        "In brackets: everfresh is so many times ahead.",
        _rates(figures, model, titles, ("single-1", "single-16", "single-64"), "requests_per_s"),
        f"### Batches of {BATCH_ROWS:,} rows",
        f"Rows a second with {CELLS['batch-json'].connections} connections; the rest as above.",
        _rates(figures, model, titles, ("batch-json", "batch-arrow"), "rows_per_s"),
        "### Start and memory",
        "From the start of the process to the first good answer; memory (PSS) of all its processes after the load.",
        _processes(figures, model, titles),
        _swaps(figures, model),
        _floor(figures, model),
    ]


def _rates(figures: Figures, model: str, titles: Mapping[str, str], cells: Sequence[str], name: str) -> str:
    def cell_text(server: str, cell: str) -> str:
        rate = figures.value(server, model, cell, name)
        if rate is None:
            return "not valid" if figures.problem(server, model, cell) else ""
        p50, p99, cpu = (figures.value(server, model, cell, key) for key in ("p50_ms", "p99_ms", "cpu_ms"))
        ahead = ratio(figures.value("everfresh", model, cell, name), rate)
        times = f" ({number(ahead)} x)" if ahead is not None and server != "everfresh" else ""
        return f"{number(rate)}{times} · {number(p50)} / {number(p99)} · {number(cpu)}"

    rows = [(title, *(cell_text(server, cell) for cell in cells)) for server, title in titles.items()]
    return markdown_table(("server", *(CELLS[cell].title for cell in cells)), _known(rows))


def _processes(figures: Figures, model: str, titles: Mapping[str, str]) -> str:
    def text(server: str, name: str, unit: str) -> str:
        value = figures.value(server, model, PROCESS, name)
        return f"{number(value)} {unit}" if value is not None else ""

    def difference(server: str) -> str:
        value = figures.value(server, model, PROCESS, "largest_difference")
        return f"{value:.1e}" if value is not None and server != "echo" else ""

    rows = [
        (title, text(server, "start_s", "s"), text(server, "memory_mb", "MB"), difference(server))
        for server, title in titles.items()
    ]
    return markdown_table(("server", "start", "memory", "largest difference to scikit-learn"), _known(rows))


def _swaps(figures: Figures, model: str) -> str:
    value = _of(figures, "everfresh", model, SWAPS)
    if value("p99_ms") is None:
        return ""
    head = ("", "requests/s", "p50 ms", "p99 ms")
    rows = [
        (title, *(number(value(f"{prefix}{name}")) for name in ("requests_per_s", "p50_ms", "p99_ms")))
        for title, prefix in (("swapped once a second", ""), ("not swapped", "steady_"))
    ]
    return f"### Swaps\n\neverfresh at 16 connections; no request failed.\n\n{markdown_table(head, rows)}"


def _floor(figures: Figures, model: str) -> str:
    value = _of(figures, FLOOR, model, FLOOR)
    if value("sklearn_1_us") is None:
        return ""
    rows = [
        (title, *(number(value(f"{name}_{count}_us")) for count in (1, BATCH_ROWS)))
        for title, name in (("scikit-learn, from a DataFrame", "sklearn"), ("everfresh's validation and plan", "plan"))
    ]
    table = markdown_table(("", "1 row", f"{BATCH_ROWS:,} rows"), rows)
    return f"### Without a server\n\nProcessor time in microseconds a call, from columns of plain values.\n\n{table}"


def _missing(figures: Figures, about: Mapping[str, Any]) -> str:
    rows: list[Row] = [(title, "", reason) for title, reason in about["not_run"].items()]
    for server in about["servers"]:
        for model in about["models"]:
            rows += _problems(figures, server["name"], server["title"], model)
    return f"## What was not measured\n\n{markdown_table(('server', 'what', 'why'), rows)}"


def _problems(figures: Figures, name: str, title: str, model: str) -> list[Row]:
    return [
        (title, f"{model}: {cell or 'everything'}", problem)
        for cell in (START, *CELLS, SWAPS)
        if (problem := figures.problem(name, model, cell))
    ]


def _of(figures: Figures, server: str, model: str, cell: str) -> Callable[[str], float | None]:
    return lambda name: figures.value(server, model, cell, name)


def _known(rows: Sequence[Row]) -> list[Row]:
    """Without the rows of which nothing is known."""
    return [row for row in rows if any(row[1:])]


def number(value: float | None) -> str:
    """A number in three digits, as one reads it.

    >>> number(13706.4), number(0.4871), number(22.04), number(None)
    ('13,706', '0.487', '22.0', '')
    """
    if value is None:
        return ""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}" if abs(value) >= 1 else f"{value:.3f}"


if __name__ == "__main__":
    write_page(read_results(REPORT))
