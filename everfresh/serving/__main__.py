"""`python -m everfresh.serving --root DIR --port P`: start the inference server."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from everfresh.errors import EverfreshError, PortTaken, RootTaken
from everfresh.serving.access.tls import MINIMA, tls_options
from everfresh.serving.options import ServerOptions
from everfresh.serving.presence import EXIT_TAKEN
from everfresh.serving.server import serve

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
    parser.add_argument("--grpc-port", type=int, help="speak gRPC as well, on this port")
    parser.add_argument(
        "--memory-mb", type=int, help="megabytes of bundles in a worker's memory; those least used leave it"
    )
    parser.add_argument(
        "--open", dest="is_open", action="store_true", help="let other machines in without asking who they are"
    )
    parser.add_argument("--tls-cert", type=Path, help="speak TLS with this certificate (PEM, with its chain)")
    parser.add_argument("--tls-key", type=Path, help="its key (PEM, PKCS#8, without a password)")
    parser.add_argument("--tls-client-ca", type=Path, help="let in only clients with a certificate of this authority")
    parser.add_argument("--tls-crl", type=Path, help="what that authority revoked (PEM)")
    parser.add_argument("--tls-minimum", choices=MINIMA, default="1.3", help="the oldest TLS (default: 1.3)")
    given = vars(parser.parse_args(arguments))
    if given["grpc_port"] == given["port"]:
        parser.error("--grpc-port must be another port than --port")
    tls = [given.pop(f"tls_{part}") for part in ("cert", "key", "client_ca", "crl", "minimum")]
    return ServerOptions(**given, tls=tls_options(*tls))


if __name__ == "__main__":
    sys.exit(main())
