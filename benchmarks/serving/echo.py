"""The floor: the HTTP server under everfresh, which reads the body and answers without looking at it.

`python echo.py PORT DIRECTORY`; in the directory are the answers of everfresh to one row and to a batch, to be the same
in length.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from granian import Granian
from granian.constants import HTTPModes, Interfaces
from granian.log import LogLevels

LARGE_BYTES = 8 * 1024


def load(directory: Path) -> Any:
    """The application, in a worker."""
    single, batch = (directory / "single").read_bytes(), (directory / "batch").read_bytes()
    headers = [("content-type", "application/json"), ("x-request-id", "0123456789abcdef")]
    headers += [("x-model", "benchmark"), ("x-model-version", "1")]

    async def application(scope: Any, protocol: Any) -> None:
        body = await protocol()
        protocol.response_bytes(200, headers, batch if len(body) > LARGE_BYTES else single)

    return application


def main(port: int, directory: Path) -> None:
    """Serve until told to stop."""
    server = Granian(
        "echo",
        address="127.0.0.1",
        port=port,
        interface=Interfaces.RSGI,
        workers=2,
        http=HTTPModes.http1,
        websockets=False,
        log_level=LogLevels.warning,
    )
    server.serve(target_loader=lambda *_: load(directory), wrap_loader=False)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
