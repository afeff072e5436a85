"""A small server for tests: `python rsgi_server.py ROOT PORT [--open] [--tls JSON]`; it says who asked.

Its paths are looked up as the inference server looks up its own: exactly, in what the HTTP server has decoded.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from granian import Granian
from granian.constants import HTTPModes, Interfaces

from everfresh.errors import EverfreshError
from everfresh.serving.access.policy import AccessPolicy, access_options, checked_access
from everfresh.serving.access.refusals import Unauthenticated
from everfresh.serving.access.tls import TlsOptions, checked_tls, granian_arguments
from everfresh.serving.refusals import Refusal

ROUTES = {
    ("GET", "/ping"): "nothing",
    ("GET", "/health/live"): "nothing",
    ("POST", "/invocations"): "predict",
    ("POST", "/v2/repository/models/flights/unload"): "admin",
}


def application(policy: AccessPolicy):
    async def app(scope, protocol):
        if scope.proto != "http":
            protocol.close(403)
            return
        try:
            needs = ROUTES.get((scope.method, scope.path))
            who = policy.authorize(scope.headers, "describe" if needs is None else needs, scope.authority)
            status, headers, body = (404, [], "nothing") if needs is None else (200, [], who.name)
        except Refusal as refusal:
            known = refusal.headers.items() if isinstance(refusal, Unauthenticated) else []
            status, headers, body = refusal.status, list(known), str(refusal)
        protocol.response_bytes(status, headers, body.encode())

    return app


def main(root: str, port: str, *options: str) -> None:
    tls = None
    if "--tls" in options:
        given = json.loads(options[options.index("--tls") + 1])
        tls = TlsOptions(**{name: text if name == "minimum" else Path(text) for name, text in given.items()})
        for warning in checked_tls(tls):
            sys.stderr.write(f"{warning}\n")
    access = checked_access(access_options(Path(root), "127.0.0.1", certificates=bool(tls and tls.client_ca)))
    Granian(
        "tests", address="127.0.0.1", port=int(port), interface=Interfaces.RSGI, http=HTTPModes.http1,
        websockets=False, log_enabled=False, **granian_arguments(tls),
    ).serve(target_loader=lambda: application(AccessPolicy(access)), wrap_loader=False)  # fmt: skip


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except EverfreshError as error:
        sys.exit(str(error))
