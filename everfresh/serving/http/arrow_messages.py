"""What an Arrow stream says of itself, read before the library that decodes it makes room for anything.

A stream is a row of messages: eight bytes, metadata as a flatbuffer, a body. The metadata of a batch tells how many
rows it has and where in the body its buffers lie; a compressed buffer tells its own size in its first eight bytes, and
a kilobyte may claim to be a gigabyte. The layout is that of `Message.fbs` of the Arrow format.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from everfresh.serving.questions.decoding import check_rows
from everfresh.serving.refusals import Malformed, TooLarge

MOST_MESSAGES = 1_000
MOST_METADATA_BYTES = 1024 * 1024
MOST_INFLATED_BYTES = 64 * 1024 * 1024

_CONTINUATION = 0xFFFFFFFF
_FILE_MAGIC = b"ARROW1\x00\x00"
# The kinds of messages, and the fields of the tables, by their numbers in Message.fbs.
_DICTIONARY_BATCH, _RECORD_BATCH = 2, 3
_MESSAGE_KIND, _MESSAGE_HEADER, _MESSAGE_BODY_LENGTH = 1, 2, 3
_DICTIONARY_DATA = 1
_BATCH_ROWS, _BATCH_BUFFERS, _BATCH_COMPRESSION = 0, 2, 3
_BUFFER_BYTES = 16


def stream_of(body: bytes) -> memoryview:
    """The stream in a body: itself, or what stands between the marks of an Arrow file."""
    return memoryview(body)[len(_FILE_MAGIC) if body.startswith(_FILE_MAGIC) else 0 :]


def check_stream(stream: memoryview) -> None:
    """Make sure that a stream can be decoded without taking more room or time than its size makes one expect.

    Raises:
        Malformed: it is no Arrow stream, or one of very many parts.
        TooManyRows: it has more rows than a request may have.
        TooLarge: it would be too large once it is decompressed.
    """
    rows = inflated = 0
    try:
        for kind, metadata, header, body in _messages(stream):
            if kind == _RECORD_BATCH:
                batch = header
                rows += _number(metadata, batch, _BATCH_ROWS, "<q")
            elif kind == _DICTIONARY_BATCH:
                batch = _table(metadata, header, _DICTIONARY_DATA)
            else:
                continue
            inflated += _inflated_bytes(metadata, batch, body)
            check_rows(rows)
            if inflated > MOST_INFLATED_BYTES:
                raise TooLarge(MOST_INFLATED_BYTES)
    except (struct.error, IndexError, OverflowError):
        raise no_stream() from None


def no_stream() -> Malformed:
    """The refusal of what is no Arrow stream."""
    return Malformed("The body is not a whole Arrow IPC stream (of the format since Arrow 0.15).")


def _messages(stream: memoryview) -> Iterator[tuple[int, memoryview, int, memoryview]]:
    """Of each message its kind, its metadata, where in them its header is, and its body."""
    start = 0
    for _ in range(MOST_MESSAGES):
        if start == len(stream):
            return
        mark, size = struct.unpack_from("<II", stream, start)
        if mark != _CONTINUATION or size > MOST_METADATA_BYTES:
            raise no_stream()
        if size == 0:
            return
        metadata = stream[start + 8 : start + 8 + size]
        message = _offset(metadata, 0)
        length = _number(metadata, message, _MESSAGE_BODY_LENGTH, "<q")
        body_start = start + 8 + size
        if length < 0 or body_start + length > len(stream):
            raise no_stream()
        kind = _number(metadata, message, _MESSAGE_KIND, "<B")
        yield kind, metadata, _table(metadata, message, _MESSAGE_HEADER), stream[body_start : body_start + length]
        start = body_start + length
    raise Malformed(f"The Arrow stream has more than {MOST_MESSAGES:,} messages. Send larger batches, and fewer.")


def _inflated_bytes(metadata: memoryview, batch: int, body: memoryview) -> int:
    """How many bytes the buffers of a batch claim to be once they are decompressed; 0 where they are not compressed."""
    if _field(metadata, batch, _BATCH_COMPRESSION) is None:
        return 0
    buffers = _table(metadata, batch, _BATCH_BUFFERS)
    (count,) = struct.unpack_from("<I", metadata, buffers)
    sizes = 0
    for number in range(count):
        offset, length = struct.unpack_from("<qq", metadata, buffers + 4 + number * _BUFFER_BYTES)
        if length:
            if offset < 0:
                raise no_stream()
            (size,) = struct.unpack_from("<q", body, offset)
            # -1 says that this buffer is as it is.
            sizes += size if size >= 0 else 0
    return sizes


def _field(metadata: memoryview, table: int, number: int) -> int | None:
    """Where a field of a table is; None where the table leaves it at its default."""
    (back,) = struct.unpack_from("<i", metadata, table)
    fields = table - back
    if fields < 0:
        raise no_stream()
    (size,) = struct.unpack_from("<H", metadata, fields)
    place = 4 + 2 * number
    if place + 2 > size:
        return None
    (offset,) = struct.unpack_from("<H", metadata, fields + place)
    return table + offset if offset else None


def _number(metadata: memoryview, table: int, number: int, layout: str) -> int:
    place = _field(metadata, table, number)
    if place is None:
        return 0
    found: int = struct.unpack_from(layout, metadata, place)[0]
    return found


def _table(metadata: memoryview, table: int, number: int) -> int:
    """Where the table or the vector is that a field points to."""
    place = _field(metadata, table, number)
    if place is None:
        raise no_stream()
    return _offset(metadata, place)


def _offset(metadata: memoryview, place: int) -> int:
    (offset,) = struct.unpack_from("<I", metadata, place)
    return place + int(offset)
