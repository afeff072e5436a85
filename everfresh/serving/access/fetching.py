"""Fetches a small document over https, from exactly where it was said to be."""

from __future__ import annotations

import ssl
import time
import urllib.request
from http.client import HTTPException
from typing import IO, Any

FETCH_SECONDS = 5.0
MOST_BYTES = 1024 * 1024


def fetched(url: str, seconds: float = FETCH_SECONDS) -> bytes:
    """What an https address answers; never from where it redirects to, and not for longer than about `seconds`.

    Raises:
        OSError: it does not answer, or not with 200, or not in time.
        ValueError: the answer is too long.
    """
    handlers = (_NoRedirects, urllib.request.HTTPSHandler(context=ssl.create_default_context()))
    opener = urllib.request.build_opener(*handlers)
    deadline = time.monotonic() + seconds
    try:
        with opener.open(url, timeout=seconds) as response:
            return _read_until(deadline, response)
    except HTTPException as error:
        raise OSError(f"the answer is not HTTP ({type(error).__name__})") from error


def _read_until(deadline: float, response: IO[bytes]) -> bytes:
    content = bytearray()
    while chunk := response.read1(65_536):  # type: ignore[attr-defined]
        content += chunk
        if len(content) > MOST_BYTES:
            raise ValueError(f"it is longer than {MOST_BYTES:,} bytes")
        if time.monotonic() > deadline:
            raise TimeoutError("it came too slowly")
    return bytes(content)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Keys come from the address that was configured, and from nowhere else."""

    def redirect_request(self, *arguments: Any, **options: Any) -> None:
        """None: the redirection stays an error."""
