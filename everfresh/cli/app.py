"""The command line as a whole."""

from __future__ import annotations

import typer

from everfresh import __version__
from everfresh.cli import models, specs, stack

app = typer.Typer(
    name="everfresh",
    help="Keeps a production model fresh: train, judge, roll out, watch and retrain it, from one YAML file.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done, 1 an error, 2 wrong usage or an invalid spec, 3 the answer is no, 130 interrupted.",
)


@app.callback(invoke_without_command=True)
def version(
    show: bool = typer.Option(False, "--version", help="Print the version and exit.", is_eager=True),
) -> None:
    """Keeps a production model fresh: train, judge, roll out, watch and retrain it, from one YAML file."""
    if show:
        typer.echo(f"everfresh {__version__}")
        raise typer.Exit


for command in (stack.run, stack.up, stack.down):
    app.command(rich_help_panel="The stack")(command)
for command in (models.train, models.deploy, models.monitor, models.retrain, models.rollback, models.score, models.status):
    app.command(rich_help_panel="The loop")(command)
for command in (specs.check, specs.schema, specs.targets):
    app.command(rich_help_panel="Specs")(command)
