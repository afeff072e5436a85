"""The commands of the inference server's API keys."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from everfresh.cli.options import AsJson
from everfresh.cli.output import say, show, show_json, table

app = typer.Typer(name="keys", help="Make, list and revoke the inference server's API keys.", no_args_is_help=True)

File = Annotated[
    Path | None,
    typer.Option("--file", help="The file of the keys; EVERFRESH_SERVING_KEYS if left out.", show_default=False),
]


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="Whose key it is, as in batch-scoring.", show_default=False)],
    role: Annotated[list[str], typer.Option(help="predict, read or admin; may be repeated.", show_default=False)],
    expires: Annotated[
        str | None, typer.Option(help="How long it is valid, as in 90d; for ever if left out.", show_default=False)
    ] = None,
    file: File = None,
    json: AsJson = False,
) -> None:
    """Make a key and print it, once: what is kept does not give it back."""
    from everfresh.serving.access.keys import NAME, add_key

    if not NAME.fullmatch(name):
        raise typer.BadParameter("a name has letters, digits and . _ @ -, at most 64", param_hint="NAME")
    made = add_key(_file(file), name, _roles(role), now=_now(), lasts=_duration(expires))
    if json:
        show_json({**_facts(made.key), "key": made.presented})
        return
    show(made.presented)
    until = f"until {_day(made.key.expires)}" if made.key.expires else "until it is revoked"
    say(f"This is a key of {name} for {' and '.join(sorted(made.key.roles))}, {until}. It is not shown again.")


@app.command(name="list")
def list_keys(file: File = None, json: AsJson = False) -> None:
    """Print who has which keys, and since when; never a key itself."""
    from everfresh.serving.access.keys import read_keys

    keys, now = read_keys(_file(file)), _now()
    if json:
        show_json([{**_facts(key), "state": key.state(now)} for key in keys])
        return
    rows = [
        (key.kid, key.name, ",".join(sorted(key.roles)), _day(key.created), _day(key.expires), key.state(now))
        for key in keys
    ]
    show(table(("kid", "name", "roles", "created", "expires", "state"), rows))


@app.command()
def revoke(
    kid: Annotated[str, typer.Argument(help="The part of the key before the dot.", show_default=False)],
    file: File = None,
    json: AsJson = False,
) -> None:
    """Let a key be valid no more; running servers know it within a second."""
    from everfresh.serving.access.keys import revoke_key

    # Whoever pastes the whole key means its first part, and its secret belongs in no message.
    key = revoke_key(_file(file), kid.partition(".")[0], now=_now())
    if json:
        show_json(_facts(key))
    else:
        show(f"{key.kid} of {key.name} is revoked.")


def _file(given: Path | None) -> Path:
    from everfresh.settings import Settings

    return given.absolute() if given is not None else Settings.from_environment().serving_keys


def _roles(words: list[str]) -> list[Any]:
    from everfresh.serving.access.roles import Role

    unknown = [word for word in words if word not in set(Role)]
    if unknown:
        raise typer.BadParameter(f"{unknown[0]!r} is none of {', '.join(Role)}", param_hint="--role")
    return [Role(word) for word in words]


def _duration(text: str | None) -> Any:
    from everfresh.spec.fields import parse_positive_duration

    try:
        return None if text is None else parse_positive_duration(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--expires") from error


def _facts(key: Any) -> dict[str, Any]:
    """What may be shown of a key: not even its hash."""
    return {name: value for name, value in key.to_json().items() if name != "sha256"}


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def _day(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d}" if moment is not None else "-"
