"""The binary data extension of V2: tensors as bytes behind the JSON, in the order in which the JSON names them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from everfresh.serving.http.messages import JSON, Request, Response
from everfresh.serving.questions.tensors import write_raw
from everfresh.serving.refusals import BadHeader, Malformed, UnsupportedContent, shortened

EXTENSION = "binary_tensor_data"
JSON_LENGTH = "inference-header-content-length"
OCTETS = "application/octet-stream"
NO_HEADER = "is binary, and the request has no header Inference-Header-Content-Length."


def split_body(request: Request) -> tuple[bytes, memoryview | None]:
    """The JSON of a request and the bytes behind it; None where it does not say that there are any.

    Raises:
        UnsupportedContent: the body is said to be something else.
        BadHeader: the length of the JSON is no number, or greater than that of the body.
    """
    told = request.headers.get(JSON_LENGTH)
    if told is None:
        if request.content_type != JSON:
            raise UnsupportedContent(request.content_type, [JSON])
        return request.body, None
    if request.content_type not in (JSON, OCTETS):
        raise UnsupportedContent(request.content_type, [JSON, OCTETS])
    # The digits are counted first: Python refuses to read very many.
    if not (told.isascii() and told.isdigit() and len(told) < 20) or int(told) > len(request.body):
        raise BadHeader("Inference-Header-Content-Length", told, f"a length within the body's {len(request.body):,}")
    length = int(told)
    return request.body[:length], memoryview(request.body)[length:]


def bytes_of_inputs(tensors: Sequence[Any], data: memoryview) -> list[memoryview | None]:
    """The bytes of each input tensor; None for one whose values stand in the JSON.

    Raises:
        Malformed: an input takes more bytes than there are, or a length that is none, or bytes are left over.
    """
    parts: list[memoryview | None] = []
    start = 0
    for tensor in tensors:
        size = _size(tensor)
        if size is None:
            parts.append(None)
            continue
        name = shortened(str(tensor.get("name")))
        if size > len(data) - start:
            left = len(data) - start
            raise Malformed(f"Input {name!r} has {size:,} bytes, and only {left:,} are left in the body.", field=name)
        parts.append(data[start : start + size])
        start += size
    if start != len(data):
        raise Malformed(f"Behind the last input {len(data) - start:,} bytes are left over.", field="inputs")
    return parts


def is_binary(tensor: Mapping[str, Any]) -> bool:
    """Whether a tensor says that its values are bytes."""
    parameters = tensor.get("parameters")
    return isinstance(parameters, dict) and "binary_data_size" in parameters


def _size(tensor: Any) -> int | None:
    if not isinstance(tensor, dict) or not is_binary(tensor):
        return None
    size = tensor["parameters"]["binary_data_size"]
    if type(size) is not int or size < 0:
        name = shortened(str(tensor.get("name")))
        raise Malformed(f"The binary_data_size of input {name!r} is no length in bytes.", field=name)
    return size


def binary_response(content: Mapping[str, Any], outputs: Sequence[dict[str, Any]], binary: Sequence[bool]) -> Response:
    """A response of which some outputs are bytes behind the JSON."""
    told, data = [], []
    for output, is_binary in zip(outputs, binary, strict=True):
        if is_binary:
            raw = write_raw(output["datatype"], output["data"])
            described = {key: value for key, value in output.items() if key != "data"}
            told.append({**described, "parameters": {"binary_data_size": len(raw)}})
            data.append(raw)
        else:
            told.append(output)
    head = orjson.dumps({**content, "outputs": told}, option=orjson.OPT_SERIALIZE_NUMPY)
    headers = {"inference-header-content-length": str(len(head))}
    return Response(200, b"".join((head, *data)), OCTETS, headers)
