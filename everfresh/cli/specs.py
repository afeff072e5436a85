"""The commands about specs: nothing is run, and nothing but YAML is read unless the spec is sound."""

from __future__ import annotations

from typing import Annotated

import typer

from everfresh.cli.options import AsJson
from everfresh.cli.output import INVALID_SPEC, Exit, show, show_json, table


def check(
    specs: Annotated[list[str] | None, typer.Argument(help="Names or paths; all of projects/ if left out.")] = None,
    json: AsJson = False,
) -> None:
    """Say every fault of a spec at once."""
    from everfresh.loop.checking import check_specs
    from everfresh.settings import Settings

    found = check_specs(specs or [], Settings.from_environment())
    if json:
        show_json([spec.to_json() for spec in found])
    else:
        for spec in found:
            show(str(spec))
    if any(spec.faults for spec in found):
        raise Exit(INVALID_SPEC)


def schema() -> None:
    """Print the JSON Schema of a spec, for editors."""
    from everfresh.spec.loading import spec_schema

    show_json(spec_schema())


def targets(json: AsJson = False) -> None:
    """Print what each kind of target can do."""
    from everfresh.targets.capabilities import CAPABILITIES, ROLLOUTS

    if json:
        show_json({kind: sorted(rollouts) for kind, rollouts in CAPABILITIES.items()})
        return
    rows = [(kind, *("yes" if rollout in can else "-" for rollout in ROLLOUTS)) for kind, can in CAPABILITIES.items()]
    show(table(("target", *ROLLOUTS), rows))
