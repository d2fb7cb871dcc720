"""The edge of a model server: request id, trace, errors, metrics and one log line a call."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from time import perf_counter
from typing import Any

import grpc
from opentelemetry import propagate, trace

from interplay.errors import InternalError, InterplayError
from interplay.rpc.status import DETAILS_KEY, status_from_error
from interplay.telemetry import metrics
from interplay.telemetry.context import METADATA_KEY, accept_request_id, set_request_id
from interplay.telemetry.logging import get_logger
from interplay.telemetry.tracing import tracer

log = get_logger(__name__)

# Probes arrive every few seconds and say nothing: they are served but neither logged nor measured.
_QUIET_SERVICES = ("grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection")

Continuation = Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler]]


class ActiveCalls:
    """Counts calls in progress, so that a draining server knows when it is done."""

    def __init__(self) -> None:
        self._count = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def enter(self) -> None:
        """A call began."""
        self._count += 1
        self._idle.clear()

    def leave(self) -> None:
        """A call ended."""
        self._count -= 1
        if self._count == 0:
            self._idle.set()

    async def wait_idle(self, timeout_s: float) -> bool:
        """Whether no call was in progress within ``timeout_s`` seconds."""
        try:
            await asyncio.wait_for(self._idle.wait(), timeout_s)
        except TimeoutError:
            return False
        return True


class EdgeInterceptor(grpc.aio.ServerInterceptor):
    """Wraps every unary and bidirectional method of the server.

    Args:
        active: Counts the calls; probes are left out, for their streams never end by themselves.
    """

    def __init__(self, active: ActiveCalls) -> None:
        self._active = active

    async def intercept_service(
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> grpc.RpcMethodHandler:
        """See ``grpc.aio.ServerInterceptor``."""
        handler = await continuation(handler_call_details)
        service, _, method = handler_call_details.method.lstrip("/").rpartition("/")
        if handler is None or service in _QUIET_SERVICES:
            return handler
        metadata = dict(handler_call_details.invocation_metadata or ())
        if handler.unary_unary:
            return grpc.unary_unary_rpc_method_handler(
                _unary(handler.unary_unary, service, method, metadata, self._active),
                handler.request_deserializer,
                handler.response_serializer,
            )
        if handler.unary_stream:
            return grpc.unary_stream_rpc_method_handler(
                _stream(handler.unary_stream, service, method, metadata, self._active),
                handler.request_deserializer,
                handler.response_serializer,
            )
        if handler.stream_stream:
            return grpc.stream_stream_rpc_method_handler(
                _stream(handler.stream_stream, service, method, metadata, self._active),
                handler.request_deserializer,
                handler.response_serializer,
            )
        return handler


class _Call:
    """Book-keeping around one call: ``async with`` turns any exception into a gRPC status."""

    def __init__(
        self, service: str, method: str, metadata: dict[str, Any], context: Any, active: ActiveCalls
    ) -> None:
        self._active = active
        self.service = service
        self.method = method
        self.context = context
        self.code = "OK"
        self.started = perf_counter()
        set_request_id(accept_request_id(metadata.get(METADATA_KEY)))
        self._span = tracer.start_as_current_span(
            f"{service}/{method}",
            context=propagate.extract(metadata),
            kind=trace.SpanKind.SERVER,
            attributes={"rpc.system": "grpc", "rpc.service": service, "rpc.method": method},
        )

    async def __aenter__(self) -> _Call:
        self._active.enter()
        self._span.__enter__()
        return self

    async def __aexit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        try:
            if isinstance(error, asyncio.CancelledError | GeneratorExit):
                self.code = "CANCELLED"
            elif isinstance(error, InterplayError):
                await self._abort(error)
            elif isinstance(error, Exception) and not isinstance(error, grpc.aio.AbortError):
                log.exception("unexpected_error", method=self.method)
                await self._abort(InternalError("the server failed on this request; its log has the details"))
        finally:
            self._active.leave()
            self._finish()
            self._span.__exit__(None, None, None)

    async def _abort(self, error: InterplayError) -> None:
        self.code = error.row.grpc_code
        status = status_from_error(error)
        await self.context.abort(
            grpc.StatusCode[self.code], error.message, ((DETAILS_KEY, status.SerializeToString()),)
        )

    def _finish(self) -> None:
        seconds = perf_counter() - self.started
        metrics.GRPC_HANDLED.labels(self.service, self.method, self.code).inc()
        metrics.GRPC_HANDLING.labels(self.service, self.method).observe(seconds)
        log.info("call", method=self.method, code=self.code, seconds=round(seconds, 4))


def _unary(inner: Any, service: str, method: str, metadata: dict[str, Any], active: ActiveCalls) -> Any:
    async def handle(request: Any, context: grpc.aio.ServicerContext) -> Any:
        async with _Call(service, method, metadata, context, active):
            return await inner(request, context)

    return handle


def _stream(inner: Any, service: str, method: str, metadata: dict[str, Any], active: ActiveCalls) -> Any:
    async def handle(request: Any, context: grpc.aio.ServicerContext) -> AsyncIterator[Any]:
        call = _Call(service, method, metadata, context, active)
        async with call, aclosing(inner(request, context)) as responses:  # one request, or a stream of them
            async for response in responses:
                yield response

    return handle
