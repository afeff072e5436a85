"""The `everfresh` command. Each command imports what it needs when it runs, so that `--help` is instant."""

from __future__ import annotations

import sys

from everfresh.cli.app import app
from everfresh.cli.output import ERROR, INTERRUPTED, INVALID_SPEC, say
from everfresh.errors import EverfreshError, SpecError


def main() -> None:
    """Run the command line; a user's mistake is a sentence on stderr and an exit code, never a traceback."""
    try:
        app()
    except SpecError as error:
        say(str(error))
        sys.exit(INVALID_SPEC)
    except EverfreshError as error:
        say(str(error))
        sys.exit(ERROR)
    except KeyboardInterrupt:
        say("Interrupted.")
        sys.exit(INTERRUPTED)
    except SystemExit as ending:
        if ending.code == INTERRUPTED:  # Typer makes this of Ctrl-C while a command runs
            say("Interrupted.")
        raise
