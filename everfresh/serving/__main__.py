"""`python -m everfresh.serving --root DIR --port P`: start the inference server."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from everfresh.errors import EverfreshError, PortTaken, RootTaken
from everfresh.serving.presence import EXIT_TAKEN
from everfresh.serving.server import ServerOptions, serve

EXIT_FAILED = 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until told to stop; the exit code of the process: 0, or 3 where the port or the root is taken."""
    try:
        serve(_options(arguments))
    except (PortTaken, RootTaken) as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_TAKEN
    except EverfreshError as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_FAILED
    return 0


def _options(arguments: Sequence[str] | None) -> ServerOptions:
    parser = argparse.ArgumentParser(prog="python -m everfresh.serving", description="The everfresh inference server.")
    parser.add_argument("--root", type=Path, required=True, help="where serving.json and the bundles lie")
    parser.add_argument("--port", type=int, required=True, help="the port to listen on")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: this machine only)")
    parser.add_argument("--workers", type=int, default=1, help="worker processes (default: 1)")
    return ServerOptions(**vars(parser.parse_args(arguments)))


if __name__ == "__main__":
    sys.exit(main())
