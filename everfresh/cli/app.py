"""The command line as a whole."""

from __future__ import annotations

from collections.abc import Callable

import typer

from everfresh import __version__
from everfresh.cli import keys, models, specs, stack

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


_PANELS: dict[str, tuple[Callable[..., None], ...]] = {
    "The stack": (stack.run, stack.up, stack.down),
    "The loop": (
        models.train,
        models.deploy,
        models.monitor,
        models.retrain,
        models.rollback,
        models.score,
        models.labels,
        models.status,
    ),
    "Specs": (specs.check, specs.schema, specs.targets),
}
for panel, commands in _PANELS.items():
    for command in commands:
        app.command(rich_help_panel=panel)(command)
app.add_typer(keys.app, rich_help_panel="Serving")
