"""The commands of the loop: each starts a flow in this process and says how it ended."""

from __future__ import annotations

import getpass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from everfresh.cli.options import AsJson, AsOf, Project, Version, utc
from everfresh.cli.output import SAID_NO, Exit, facts, log_progress, show, show_json

if TYPE_CHECKING:
    from everfresh.loop.outcome import Outcome


def train(project: Project, as_of: AsOf = None, json: AsJson = False) -> None:
    """Fit the candidates, judge the best of them, and register it as challenger."""
    _end(_flow("train", project, as_of=utc(as_of)), json)


def deploy(
    project: Project,
    version: Version = None,
    approved_by: Annotated[str, typer.Option(help="Who approves it, where the spec asks for a person.")] = "",
    override_by: Annotated[str, typer.Option(help="Who lets it serve though a gate said no.")] = "",
    why: Annotated[str, typer.Option(help="The reason of an override.")] = "",
    until: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="When an override ends.", show_default=False)
    ] = None,
    json: AsJson = False,
) -> None:
    """Let a judged version serve on every target, and make it the champion."""
    if override_by or why or until:
        _override(project, version, override_by.strip(), why.strip(), utc(until))
    _end(_flow("deploy", project, version=version, approved_by=approved_by), json)


def monitor(project: Project, as_of: AsOf = None, json: AsJson = False) -> None:
    """Compare production with what the champion was trained on."""
    from everfresh.monitoring.report import MonitoringReport

    report = _flow("monitor", project, as_of=utc(as_of))
    if not isinstance(report, MonitoringReport):
        _end(report, json)
    elif json:
        show_json(report.to_json())
    else:
        show(f"{report.status}  {report.project} v{report.version}, {report.window}")
        show(report.reason)
    if report.status == "ALARM":
        raise Exit(SAID_NO)


def retrain(
    project: Project,
    force: Annotated[bool, typer.Option("--force", help="Retrain whatever the policy says.")] = False,
    as_of: AsOf = None,
    json: AsJson = False,
) -> None:
    """Train, judge and deploy a challenger, if the retrain policy calls for one."""
    forced_by = getpass.getuser() if force else ""
    _end(_flow("retrain", project, trigger="hand", forced_by=forced_by, as_of=utc(as_of)), json)


def rollback(
    project: Project,
    to: Annotated[int | None, typer.Option(help="The version; the previous champion if left out.", min=1)] = None,
    reason: Annotated[str, typer.Option(help="Why, for the registry.")] = "asked for by hand",
    json: AsJson = False,
) -> None:
    """Bring the previous champion back on every target."""
    _end(_flow("rollback", project, to=to, reason=reason), json)


def score(
    project: Project,
    table: Annotated[
        str | None, typer.Option(help="A CSV or Parquet file or glob; the project's source if left out.")
    ] = None,
    output: Annotated[Path | None, typer.Option(help="The Parquet file to write.")] = None,
    json: AsJson = False,
) -> None:
    """Score a table with the champion."""
    scored = _flow("score", project, table=_from_here(table), output=str(output.resolve()) if output else None)
    if json:
        show_json({"file": str(scored.file), "rows": scored.rows, "version": scored.version})
    else:
        show(f"{scored.rows:,} rows scored by v{scored.version}: {scored.file}")


def labels(
    project: Project,
    table: Annotated[str, typer.Argument(help="A CSV or Parquet file or glob with ids and labels.")],
    json: AsJson = False,
) -> None:
    """Bring the labels of a table back to the rows that were served."""
    from everfresh.loop.labelling import bring_labels
    from everfresh.loop.workspace import open_workspace

    brought = bring_labels(open_workspace(project), str(_from_here(table)), datetime.now(UTC))
    if json:
        show_json(brought.to_json())
    else:
        show(str(brought))


def status(project: Project, json: AsJson = False) -> None:
    """What is registered, what serves, and how it does."""
    from everfresh.loop.status import status_of
    from everfresh.loop.workspace import open_workspace

    found = status_of(open_workspace(project))
    if json:
        show_json(found.to_json())
    else:
        show(facts(found.lines()))


def _from_here(path: str | None) -> str | None:
    """A path as whoever typed it means it: from the folder that they are in."""
    return path if path is None or "://" in path else str(Path(path).absolute())


def _flow(name: str, project: str, **parameters: Any) -> Any:
    """Run a flow in this process, with its progress on stderr."""
    from everfresh.orchestration import flow
    from everfresh.settings import Settings
    from everfresh.spec.loading import find_project

    log_progress()
    settings = Settings.from_environment()
    find_project(project, settings.projects)  # a typo is told before anything heavy is imported
    return flow(name, settings)(project, **parameters)


def _override(project: str, version: int | None, by: str, why: str, until: datetime | None) -> None:
    needed = {"--version": version, "--override-by": by, "--why": why, "--until": until}
    missing = [option for option, value in needed.items() if not value]
    if version is None or until is None or missing:
        raise typer.BadParameter(f"an override needs {', '.join(needed)}; what is missing: {', '.join(missing)}")

    from everfresh.evaluation.verdict import Override
    from everfresh.loop.judgement import override_verdict
    from everfresh.loop.workspace import open_workspace

    workspace = open_workspace(project)
    found = workspace.registry.version(workspace.name, version)
    override_verdict(workspace, found, Override(by, why, until), datetime.now(UTC))


def _end(outcome: Outcome, as_json: bool) -> None:
    if as_json:
        show_json(outcome.to_json())
    else:
        show(f"{outcome.status}  {outcome.reason}")
    if outcome.is_no:
        raise Exit(SAID_NO)
