"""JSON as it comes off the wire: what is not JSON, not UTF-8, or says a thing twice is refused with its reason."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import orjson

from everfresh.serving.refusals import BadEncoding, BadJson, DuplicateKey, HugeNumber, NonFinite, Refusal, TooDeep

_NO_NUMBER = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|NaN|-?Infinity')


def read_json(body: bytes) -> Any:
    """The JSON in `body`.

    Raises:
        Refusal: it is not JSON, or an object in it has a key twice; which one says why.
    """
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise _json_refusal(body, error) from None
    _check_keys(body, content)
    return content


def read_json_with_nan(body: bytes) -> Any:
    """The JSON in `body`, where NaN may stand for a missing value, as TensorFlow Serving reads and writes it.

    Raises:
        Refusal: as `read_json`; an infinite number is one, too.
    """
    try:
        return read_json(body)
    except NonFinite:
        return read_json(_NO_NUMBER.sub(_null_for_nan, body))


def _null_for_nan(found: re.Match[bytes]) -> bytes:
    if found[0].endswith(b"Infinity"):
        raise NonFinite(found.start(), "Infinity is no value of a column; a missing one is written as NaN or null")
    return b"null" if found[0] == b"NaN" else found[0]


def _json_refusal(body: bytes, error: orjson.JSONDecodeError) -> Refusal:
    if "depth limit" in error.msg or "recursion" in error.msg.lower():
        return TooDeep()
    if not body.strip():
        return BadJson("it is empty", 0)
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return BadEncoding()
    if text.startswith("\ufeff") or "surrogate" in error.msg:
        return BadEncoding()
    offset = len(text[: error.pos].encode())
    if "infinity" in error.msg:
        return HugeNumber(offset)
    if text[max(0, error.pos - 1) :].lstrip("+-, :[").startswith(("NaN", "Infinity")):
        return NonFinite(offset)
    return BadJson(error.msg.split(":")[0], offset)


def _check_keys(body: bytes, content: Any) -> None:
    """Make sure that no key is there twice in one object: of two values the parser keeps the last, and says nothing.

    Each key that was written has a colon behind it. Where there are no more colons than keys that were kept, which
    takes a microsecond to see, no key was lost. Else those are counted that follow a quote, for times have others;
    and where that is not enough, objects within objects are counted, too, and colons in texts told from all others.

    Raises:
        DuplicateKey: one is.
    """
    kept = _count_shallow(content)
    if body.count(b":") == kept or (most := body.translate(None, b" \n\r\t").count(b'":')) == kept:
        return
    kept = _count_all(content)
    if most != kept and _count_written(body) != kept:
        raise DuplicateKey(_repeated_key(body))


def _count_shallow(content: Any) -> int:
    """The keys of an object, and of the objects or the lists of objects that it holds."""
    if type(content) is not dict:
        return 0
    keys = len(content)
    for value in content.values():
        if type(value) is dict:
            keys += len(value)
        elif type(value) is list and value and type(value[0]) is dict and set(map(type, value)) == {dict}:
            keys += sum(map(len, value))
    return keys


def _count_all(content: Any) -> int:
    keys, waiting = 0, [content]
    while waiting:
        value = waiting.pop()
        if type(value) is dict:
            keys += len(value)
            waiting.extend(value.values())
        elif type(value) is list:
            waiting.extend(value)
    return keys


def _count_written(body: bytes) -> int:
    """The colons outside of texts."""
    if b"\\" in body:
        # A run of backslashes begins with one that escapes the next: pairs first, then what escapes a quote.
        body = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    return sum(part.count(b":") for part in body.split(b'"')[::2])


def _repeated_key(body: bytes) -> str | None:
    """The first key that is there twice; None where the body is nested too deeply to say."""
    repeated: list[str] = []

    def look(pairs: Sequence[tuple[str, Any]]) -> None:
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                repeated.append(key)
            seen.add(key)

    try:
        json.loads(body, object_pairs_hook=look)
    except (RecursionError, ValueError):  # so deep, or an integer of so many digits, that this parser gives up
        return None
    return repeated[0] if repeated else None
