"""The messages of the services, made of their descriptions; and reading one that may be anything."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

from everfresh.serving.refusals import Malformed

Message = Any
"""A message of protobuf. Its fields are known at run time only."""


@dataclass(frozen=True)
class Signature:
    """What a method of a service takes and gives."""

    request: type[Message]
    response: type[Message]
    streams: bool


@cache
def pool() -> DescriptorPool:
    """The descriptions, in a pool of their own: a client in the same process may know messages by these names."""
    described = FileDescriptorSet.FromString(files(__package__).joinpath("protos", "services.binpb").read_bytes())
    own = DescriptorPool()
    for file in described.file:
        own.AddSerializedFile(file.SerializeToString())
    return own


@cache
def message(name: str) -> type[Message]:
    """The class of a message, by its full name."""
    kind: type[Message] = GetMessageClass(pool().FindMessageTypeByName(name))
    return kind


def signature(service: str, method: str) -> Signature:
    """What a method takes and gives."""
    described = pool().FindServiceByName(service).methods_by_name[method]
    return Signature(
        message(described.input_type.full_name), message(described.output_type.full_name), described.client_streaming
    )


def parse(kind: type[Message], data: bytes) -> Message:
    """The message in `data`.

    Raises:
        Malformed: there is none of that kind.
    """
    try:
        return kind.FromString(data)
    except DecodeError:
        raise Malformed(f"The request is not a message of the kind {kind.DESCRIPTOR.full_name}.") from None
