"""The commands of the stack on this machine: run the worked example, bring everything up, take it down."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from everfresh.cli.options import AsJson, utc
from everfresh.cli.output import facts, say, show, show_json, table

if TYPE_CHECKING:
    from everfresh.replay.report import Month, ReplayReport
    from everfresh.settings import Settings

REPORT = "run.json"
WHO = ("served", "never_retrained", "majority")

Day = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], show_default=False)]


def run(
    project: Annotated[str, typer.Argument(help="The name of a spec in projects/, or its path.")] = "flights",
    train_until: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="When the first model is trained; after a sixth of the history."),
    ] = None,
    until: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Where the replay ends; at the end of the table.")
    ] = None,
    json: AsJson = False,
) -> None:
    """Replay a table's history: train, deploy, real requests, late labels, drift checks, retrains.

    What it starts keeps running, so that it can be looked at; `everfresh down` stops it.
    """
    # Before anything reads the settings: a replay's events start nothing elsewhere, and its versions say what they are.
    os.environ["EVERFRESH_MODE"] = "replay"
    from everfresh.settings import Settings
    from everfresh.spec.loading import find_project

    settings = Settings.from_environment()
    find_project(project, settings.projects)
    report = _replay(project, settings, utc(train_until), utc(until))
    if json:
        show_json(report.to_json())
        return
    show("")
    show("Scores: what served / the first model, never retrained / the majority baseline")
    show(months_table(report.months))
    show("")
    told = f"{report.retrains} retrains, {report.promotions} promoted, {report.seconds:.0f} s."
    show(f"{told} The same in {settings.reports / REPORT}.")
    show("")
    show(facts(report.addresses))
    show("All of it runs on: look around, then stop it with `everfresh down`.")


def up(json: AsJson = False) -> None:
    """Start Prefect, MLflow, the runner and the endpoints of this machine, and keep them until Ctrl-C."""
    from everfresh.settings import Settings

    settings = Settings.from_environment()
    with _only_one(settings) as is_first:
        if is_first:
            _keep_up(settings, json)
        else:
            _show_running(settings, json)


def _keep_up(settings: Settings, json: bool) -> None:
    from everfresh.stack.embedded import start_stack

    specs = _sound_specs(settings)
    addresses = start_stack(settings, [spec for spec, _ in specs], progress=say)
    try:
        endpoints = {f"endpoint of {spec.name}": where for spec, file in specs for where in _serve(str(file), settings)}
        found = {**addresses.to_json(), **endpoints}
        if json:
            show_json(found)
        else:
            show(facts(found))
        _wait_for_signal("Ctrl-C stops all of it.")
    finally:  # whatever happened since: what nobody waits for must not run on
        down()


def _show_running(settings: Settings, json: bool) -> None:
    from everfresh.stack.embedded import addresses_of

    found = addresses_of(settings).to_json()
    if json:
        show_json(found)
    else:
        show(facts(found))
        say("It is up already: Ctrl-C there, or `everfresh down`, stops it.")


@contextmanager
def _only_one(settings: Settings) -> Iterator[bool]:
    """Whether nobody else keeps this checkout's stack up; the lock is gone with the process, however that ends."""
    import fcntl

    settings.home.mkdir(parents=True, exist_ok=True)
    with (settings.home / "up.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def down() -> None:
    """Stop everything that runs on this machine for this checkout."""
    from everfresh.settings import Settings
    from everfresh.stack.embedded import stop_stack

    stopped = stop_stack(Settings.from_environment())
    say(f"Stopped {', '.join(stopped)}." if stopped else "Nothing was running.")


def _replay(project: str, settings: Settings, train_until: datetime | None, until: datetime | None) -> ReplayReport:
    from everfresh.loop.workspace import open_workspace
    from everfresh.orchestration import flow
    from everfresh.replay.run import refuse_production, replay, write_report
    from everfresh.stack.embedded import start_stack

    workspace = open_workspace(project, settings)
    refuse_production(workspace)  # before anything is started that would have to be stopped again
    addresses = start_stack(settings, None, progress=say)
    flows: dict[str, Any] = {name: flow(name, settings) for name in ("train", "deploy", "monitor", "retrain")}
    report = replay(
        workspace,
        flows.__getitem__,
        train_until=train_until,
        until=until,
        progress=say,
        addresses=addresses.to_json(),
    )
    write_report(report, settings.reports / REPORT)
    return report


def months_table(months: Sequence[Month]) -> str:
    """The months of a replay, with three figures for each metric: what served, never retrained, majority."""
    metrics = tuple(months[0].scores) if months else ()
    head = ("month", "rows", "drift", "serves", *metrics, "why")
    rows = [
        (
            month.month,
            f"{month.rows:,}",
            month.drift,
            f"v{month.served_version}",
            *(" / ".join(_figure(month.scores[metric][who]) for who in WHO) for metric in metrics),
            _shortened(month.why),
        )
        for month in months
    ]
    return table(head, rows)


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _shortened(text: str, most: int = 100) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _sound_specs(settings: Settings) -> list[tuple[Any, Path]]:
    """The specs without faults; the others are told, and keep nobody from working."""
    from everfresh.errors import InvalidSpec
    from everfresh.spec.loading import load_spec

    sound = []
    for file in sorted(settings.projects.glob("*.y*ml")):
        try:
            sound.append((load_spec(file), file))
        except InvalidSpec as error:
            say(str(error))
    return sound


def _serve(project: str, settings: Settings) -> list[str]:
    """The addresses of a project's endpoints, once the champion serves there; where it cannot, it is said why."""
    from everfresh.errors import EverfreshError
    from everfresh.loop.release import resume
    from everfresh.loop.workspace import open_workspace

    workspace = open_workspace(project, settings)
    try:
        outcome = resume(workspace, datetime.now(UTC))
    except EverfreshError as error:  # one project keeps no other from working
        say(str(error))
        return []
    if outcome.status == "unchanged":
        return [target.address(workspace.name) for target in workspace.targets]
    if outcome.is_no:
        say(outcome.reason)
    return []


def _wait_for_signal(invitation: str) -> None:
    stop = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, lambda *_: stop.set())
    say(invitation)
    stop.wait()
