"""What gRPC calls: who may, what answers, and one shape for every error."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from typing import Any, NoReturn

import grpc

from everfresh.serving.access.roles import Needs
from everfresh.serving.dataplane import DataPlane
from everfresh.serving.grpc.calls import Call, read_call
from everfresh.serving.grpc.messages import Message, parse, signature
from everfresh.serving.grpc.methods import Addressee, Codec, Method, StreamCodec
from everfresh.serving.grpc.statuses import sentence_of, status_of
from everfresh.serving.http.app import INLINE_BYTES, MOST_WAITING
from everfresh.serving.inference import Asked
from everfresh.serving.metrics.counting import IN_FLIGHT, Metrics
from everfresh.serving.refusals import DeadlineExceeded, InternalError, Overloaded, Refusal
from everfresh.serving.versions.models import Choice, LoadedModel

logger = logging.getLogger(__name__)

Admit = Callable[[str | None, Needs], object]
"""Raises a refusal where whoever sent that authorization may not do what is needed."""


class GrpcApp:
    """Answers the calls of services with a data plane. A message stays bytes until it is known who sent it."""

    def __init__(
        self, plane: DataPlane, methods: Sequence[Method], metrics: Metrics, threads: ThreadPoolExecutor, admit: Admit
    ) -> None:
        self._plane = plane
        self._methods = methods
        self._metrics = metrics
        self._threads = threads
        self._admit = admit
        self._waiting = 0
        self._in_flight = 0
        metrics.look_at(IN_FLIGHT, lambda: {(): float(self._in_flight)})
        self._closing = asyncio.Event()

    def handlers(self) -> list[grpc.GenericRpcHandler]:
        """What a server of gRPC is given."""
        services: dict[str, dict[str, grpc.RpcMethodHandler]] = {}
        for method in self._methods:
            services.setdefault(method.service, {})[method.name] = self._handler(method)
        return [grpc.method_handlers_generic_handler(name, methods) for name, methods in services.items()]

    def close_streams(self) -> None:
        """Let streams end, each after the message that it answers now."""
        self._closing.set()

    def _handler(self, method: Method) -> grpc.RpcMethodHandler:
        answer, kind = method.answer, signature(method.service, method.name).request
        if isinstance(answer, StreamCodec):
            stream = answer

            # gRPC looks at the function to know that it is a generator.
            async def answer_stream(messages: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
                async for response in self._stream(stream, kind, method.needs, messages, context):
                    yield response

            return grpc.stream_stream_rpc_method_handler(answer_stream)

        async def infer(data: bytes, call: Call) -> tuple[Message, LoadedModel | None]:
            if isinstance(answer, Codec):
                return await self._infer(answer, kind, data, call)
            return answer(parse(kind, data)), None

        async def answer_one(data: bytes, context: Any) -> bytes:
            return await self._unary(infer, method.needs, data, context)

        return grpc.unary_unary_rpc_method_handler(answer_one)

    async def _unary(self, answer: Callable[[bytes, Call], Any], needs: Needs, data: bytes, context: Any) -> bytes:
        call = _call(context)
        try:
            with self._answering(call):
                self._admit(call.authorization, needs)
                response, model = await answer(data, call)
        except Refusal as refusal:
            await self._abort(context, call, refusal)
        self._metrics.called(grpc.StatusCode.OK.name)
        context.set_trailing_metadata(_told(call, model))
        whole: bytes = response.SerializeToString()
        return whole

    async def _stream(
        self, stream: StreamCodec, kind: type[Message], needs: Needs, messages: AsyncIterator[bytes], context: Any
    ) -> AsyncIterator[bytes]:
        call = _call(context)
        try:
            with self._answering(call):
                self._admit(call.authorization, needs)
        except Refusal as refusal:
            await self._abort(context, call, refusal)
        context.set_trailing_metadata(_told(call, None))
        for position in count():
            data = await self._next(messages)
            if data is None:
                break
            response = await self._answer_message(stream, kind, needs, data, call.message(position))
            yield response.SerializeToString()
        self._metrics.called(grpc.StatusCode.OK.name)

    async def _answer_message(
        self, stream: StreamCodec, kind: type[Message], needs: Needs, data: bytes, call: Call
    ) -> Message:
        try:
            with self._answering(call):
                # Again: a key may be revoked while a stream goes on.
                self._admit(call.authorization, needs)
                response, _ = await self._infer(stream.codec, kind, data, call)
                return stream.answered(response)
        except Refusal as refusal:
            return stream.refused(sentence_of(refusal))

    async def _next(self, messages: AsyncIterator[bytes]) -> bytes | None:
        """The next message of a stream; None when it has ended, or the server ends."""
        reading = asyncio.ensure_future(anext(messages, None))
        closing = asyncio.ensure_future(self._closing.wait())
        try:
            await asyncio.wait({reading, closing}, return_when=asyncio.FIRST_COMPLETED)
            return reading.result() if reading.done() else None
        finally:
            reading.cancel()
            closing.cancel()

    async def _infer(
        self, codec: Codec, kind: type[Message], data: bytes, call: Call
    ) -> tuple[Message, LoadedModel | None]:
        """The answer to a request; a large one is read and answered in a thread, so that small ones do not wait."""
        if len(data) > INLINE_BYTES:
            return await self._in_thread(codec, kind, data, call)
        choice, asked = self._read(codec, kind, data, call)
        return codec.write(await self._plane.infer(choice, asked)), choice.model

    async def _in_thread(
        self, codec: Codec, kind: type[Message], data: bytes, call: Call
    ) -> tuple[Message, LoadedModel | None]:
        if self._waiting >= MOST_WAITING:
            raise Overloaded
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._threads, self._infer_alone, codec, kind, data, call)
        finally:
            self._waiting -= 1

    def _infer_alone(
        self, codec: Codec, kind: type[Message], data: bytes, call: Call
    ) -> tuple[Message, LoadedModel | None]:
        choice, asked = self._read(codec, kind, data, call)
        return codec.write(self._plane.answer_now(choice, asked)), choice.model

    def _read(self, codec: Codec, kind: type[Message], data: bytes, call: Call) -> tuple[Choice, Asked]:
        """Which version is asked what; nothing, where its caller does not wait any more."""
        request = parse(kind, data)
        choice = self._choose(codec.addressee(request), call)
        asked = call.asked(codec.read(request, choice.model))
        if asked.deadline is not None and asked.deadline < time.monotonic():
            raise DeadlineExceeded
        return choice, asked

    @contextmanager
    def _answering(self, call: Call) -> Iterator[None]:
        """Count a call while it is answered. The caller learns no more of what nobody planned than that it happened."""
        self._in_flight += 1
        try:
            yield
        except Refusal:
            raise
        except Exception as error:
            logger.exception("Call %s failed", call.request_id)
            raise InternalError from error
        finally:
            self._in_flight -= 1

    def _choose(self, addressee: Addressee, call: Call) -> Choice:
        models, metadata = self._plane.models, call.metadata
        name = addressee.name or metadata.get("x-model") or models.only()
        version = addressee.version or metadata.get("x-model-version")
        return models.served(name).choose(version, metadata.get("x-routing-key"))

    async def _abort(self, context: Any, call: Call, refusal: Refusal) -> NoReturn:
        status = status_of(refusal)
        self._metrics.called(status.name)
        await context.abort(status, sentence_of(refusal), _told(call, None))
        raise AssertionError("a call that was ended goes no further")


def _call(context: Any) -> Call:
    return read_call(context.invocation_metadata() or (), context.time_remaining())


def _told(call: Call, model: LoadedModel | None) -> tuple[tuple[str, str], ...]:
    """What is sent at the end of a call."""
    request = ("x-request-id", call.request_id)
    return (request,) if model is None else (request, *model.told)
