"""Clients of the model servers, for the gateway (asyncio) and the worker (blocking).

Every call has a deadline, carries the request id and the trace context, and raises the exception
that the server raised. Calls are retried by the channel, and only when the server was not
reachable (UNAVAILABLE, AIP-194). Names that resolve to several servers are balanced round robin,
and servers that report themselves not serving are left out.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from opentelemetry import propagate

from interplay.capabilities import Capability
from interplay.errors import DeadlineExceeded, InterplayError, Unavailable
from interplay.rpc.common.v1 import index_pb2, index_pb2_grpc, models_pb2_grpc
from interplay.rpc.open_inference.v1 import open_inference_pb2
from interplay.rpc.open_inference.v1.open_inference_pb2_grpc import GRPCInferenceServiceStub
from interplay.rpc.status import DETAILS_KEY, error_from_rpc
from interplay.settings import MAX_MESSAGE_BYTES
from interplay.telemetry.context import METADATA_KEY, get_request_id

DEFAULT_TIMEOUT_S = 30.0
# Full name of the service of a capability's indexes, beside the capability's own.
INDEX_SERVICE: str = index_pb2.DESCRIPTOR.services_by_name["IndexService"].full_name
OPEN_INFERENCE_SERVICE: str = open_inference_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"].full_name
# How long calls wait for a server that said it was going (NOT_SERVING) to be replaced. A server that
# vanished without a word gets no such patience: its callers are told UNAVAILABLE at once.
RESTART_PATIENCE_S = 20.0
_WATCH_RETRY_S = 0.2


def connection_options() -> list[tuple[str, Any]]:
    """gRPC channel arguments of every connection: message size, keep-alive, reconnection."""
    return [
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.initial_reconnect_backoff_ms", 200),
        ("grpc.max_reconnect_backoff_ms", 2_000),
        # Two clients of one process must not share a connection: each sees a restart by itself.
        ("grpc.use_local_subchannel_pool", 1),
    ]


def channel_options(capability: Capability) -> list[tuple[str, Any]]:
    """``connection_options`` with balancing, health checks and retries for a capability and its indexes."""
    service_config = {
        "loadBalancingConfig": [{"round_robin": {}}],
        "healthCheckConfig": {"serviceName": capability.grpc_service},
        "methodConfig": [
            {
                "name": [
                    {"service": capability.grpc_service},
                    {"service": INDEX_SERVICE},
                    {"service": OPEN_INFERENCE_SERVICE},
                ],
                "retryPolicy": {
                    "maxAttempts": 3,
                    "initialBackoff": "0.1s",
                    "maxBackoff": "1s",
                    "backoffMultiplier": 2,
                    "retryableStatusCodes": ["UNAVAILABLE"],
                },
            }
        ],
    }
    return [
        *connection_options(),
        ("grpc.enable_retries", 1),
        ("grpc.service_config", json.dumps(service_config)),
    ]


def service_stub(capability: Capability, channel: Any) -> Any:
    """The generated stub of a capability's own service on a channel."""
    package = f"interplay.rpc.{capability.name}.v1.{capability.name}_pb2_grpc"
    service = capability.grpc_service.rpartition(".")[2]
    return getattr(importlib.import_module(package), f"{service}Stub")(channel)


def call_metadata() -> tuple[tuple[str, str], ...]:
    """Request id and trace context of the current request."""
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    if request_id := get_request_id():
        carrier[METADATA_KEY] = request_id
    return tuple(carrier.items())


def _allowed_s(timeout_s: float | None, default_s: float) -> float:
    """Seconds a call may take; gRPC itself would let a call whose time is up go out."""
    allowed_s = default_s if timeout_s is None else timeout_s
    if allowed_s <= 0:
        raise DeadlineExceeded("the deadline passed before the model server was called")
    return allowed_s


class _HealthWatch:
    """Follows a server's health over the ``Watch`` method of ``grpc.health.v1``.

    Attributes:
        serving: Set while the server says SERVING.
        leaving: Whether it went from SERVING to NOT_SERVING by itself and is not back yet.
    """

    def __init__(self, stub: Any, service: str) -> None:
        self._stub = stub
        self._request = health_pb2.HealthCheckRequest(service=service)
        self._task: asyncio.Task[None] | None = None
        self.serving = asyncio.Event()
        self.leaving = False

    def start(self) -> None:
        """Follow from now on; needs a running event loop. Further calls change nothing."""
        if self._task is None:
            self._task = asyncio.create_task(self._follow())

    async def stop(self) -> None:
        """Stop following."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _follow(self) -> None:
        while True:
            with contextlib.suppress(grpc.aio.AioRpcError):
                async for reply in self._stub.Watch(self._request, wait_for_ready=True):
                    if reply.status == health_pb2.HealthCheckResponse.SERVING:
                        self.leaving = False
                        self.serving.set()
                    else:
                        self.leaving = self.leaving or self.serving.is_set()
                        self.serving.clear()
            self.serving.clear()
            await asyncio.sleep(_WATCH_RETRY_S)


class ModelServerClient:
    """Asyncio client of one capability's model servers.

    Args:
        capability: Which service.
        target: gRPC target: ``host:port`` or ``dns:///name:port``.
        default_timeout_s: Deadline of calls that set none.

    Attributes:
        stub: Of the capability's own service.
        models: Of ``ModelService``.
        indexes: Of ``IndexService``, which servers have whose capability keeps indexes.
        open_inference: Of the Open Inference Protocol's service.
    """

    def __init__(
        self, capability: Capability, target: str, *, default_timeout_s: float = DEFAULT_TIMEOUT_S
    ) -> None:
        self.capability = capability
        self.target = target
        self.default_timeout_s = default_timeout_s
        self._channel = grpc.aio.insecure_channel(target, options=channel_options(capability))
        self.stub = service_stub(capability, self._channel)
        self.models = models_pb2_grpc.ModelServiceStub(self._channel)  # type: ignore[no-untyped-call]
        self.indexes = index_pb2_grpc.IndexServiceStub(self._channel)  # type: ignore[no-untyped-call]
        self.open_inference = GRPCInferenceServiceStub(self._channel)  # type: ignore[no-untyped-call]
        # A channel of its own: the balanced one leaves out servers that are not serving.
        self._health_channel = grpc.aio.insecure_channel(target, options=connection_options())
        self.health = health_pb2_grpc.HealthStub(self._health_channel)
        self._watch = _HealthWatch(self.health, capability.grpc_service)

    async def call(self, method: Callable[..., Any], request: Any, *, timeout_s: float | None = None) -> Any:
        """Call ``method`` of one of the stubs and return the response.

        While a server is being replaced in good order, the call waits for the successor: at most
        ``RESTART_PATIENCE_S``, and within its deadline.

        Raises:
            InterplayError: What the server raised, or ``Unavailable`` or ``DeadlineExceeded``.
        """
        deadline = time.monotonic() + _allowed_s(timeout_s, self.default_timeout_s)
        self._watch.start()
        try:
            return await self._call_once(method, request, deadline)
        except Unavailable:
            if not await self._successor_serves(deadline):
                raise
        return await self._call_once(method, request, deadline, wait_for_ready=True)

    async def _call_once(
        self, method: Callable[..., Any], request: Any, deadline: float, *, wait_for_ready: bool = False
    ) -> Any:
        try:
            return await method(
                request,
                timeout=_allowed_s(deadline - time.monotonic(), self.default_timeout_s),
                metadata=call_metadata(),
                wait_for_ready=wait_for_ready,
            )
        except grpc.aio.AioRpcError as error:
            raise error_from_rpc(error) from error

    async def _successor_serves(self, deadline: float) -> bool:
        """Whether a server that left in good order was replaced in time."""
        await asyncio.sleep(_WATCH_RETRY_S / 2)  # its NOT_SERVING may still be on the way
        if not self._watch.leaving:
            return False
        patience_s = min(RESTART_PATIENCE_S, deadline - time.monotonic())
        try:
            await asyncio.wait_for(self._watch.serving.wait(), max(0.0, patience_s))
        except TimeoutError:
            return False
        return True

    async def receive(
        self, method: Callable[..., Any], request: Any, *, timeout_s: float
    ) -> AsyncGenerator[Any, None]:
        """Call a method that answers with a stream; yield its parts. Closing this cancels the call.

        Raises:
            InterplayError: What the server raised.
        """
        call = method(request, timeout=_allowed_s(timeout_s, timeout_s), metadata=call_metadata())
        try:
            async for part in call:
                yield part
        except grpc.aio.AioRpcError as error:
            raise error_from_rpc(error) from error
        finally:
            call.cancel()

    async def send(
        self,
        method: Callable[..., Any],
        head: Any,
        rest: AsyncIterator[Any] | None,
        *,
        timeout_s: float,
    ) -> Any:
        """Call a method that takes a long stream, and says after its first message whether it wants the rest.

        (The status of a server that ends a call while it is written to may be lost in ``grpc.aio``.)

        Args:
            method: Bidirectional.
            head: Message to send at once.
            rest: Messages to send after the first answer, no faster than the server reads; None for none.
            timeout_s: Deadline of everything.

        Returns:
            The last answer.

        Raises:
            InterplayError: What the server raised.
            Exception: What ``rest`` raised; the call is cancelled.
        """
        call = method(timeout=_allowed_s(timeout_s, timeout_s), metadata=call_metadata())
        try:
            await call.write(head)
            if rest is None:
                await call.done_writing()
            last = await call.read()
            if rest is not None:
                async for request in rest:
                    await call.write(request)
                await call.done_writing()
            while (answer := await call.read()) is not grpc.aio.EOF:
                last = answer
            return last
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError) as error:
            raise await _ended(call) from error
        finally:
            call.cancel()

    async def is_serving(self, timeout_s: float = 1.0) -> bool:
        """Whether the server says it is SERVING; False when it cannot be reached."""
        request = health_pb2.HealthCheckRequest(service=self.capability.grpc_service)
        try:
            reply = await self.health.Check(request, timeout=timeout_s)
        except grpc.aio.AioRpcError:
            return False
        return bool(reply.status == health_pb2.HealthCheckResponse.SERVING)

    async def close(self) -> None:
        """Close the channels; calls in flight are cancelled."""
        await self._watch.stop()
        await self._channel.close()
        await self._health_channel.close()


async def _ended(call: Any) -> InterplayError:
    """Why a call that was being written to is over."""
    code, details = await call.code(), await call.details()
    error = grpc.aio.AioRpcError(code, await call.initial_metadata(), await call.trailing_metadata(), details)
    found = error_from_rpc(error)
    if code == grpc.StatusCode.INTERNAL and not any(k == DETAILS_KEY for k, _ in error.trailing_metadata()):
        return Unavailable("the model server broke the transfer off", retry_after_s=1.0)
    return found


class SyncModelServerClient:
    """Blocking client of one capability's model servers; safe to share between threads.

    Create it after any fork: gRPC channels do not survive one.

    Attributes:
        channel: For stubs of further services of the server.
        stub: Of the capability's own service.
        models: Of ``ModelService``.
        indexes: Of ``IndexService``, which servers have whose capability keeps indexes.
    """

    def __init__(
        self, capability: Capability, target: str, *, default_timeout_s: float = DEFAULT_TIMEOUT_S
    ) -> None:
        self.capability = capability
        self.target = target
        self.default_timeout_s = default_timeout_s
        self.channel = grpc.insecure_channel(target, options=channel_options(capability))
        self.stub = service_stub(capability, self.channel)
        self.models = models_pb2_grpc.ModelServiceStub(self.channel)  # type: ignore[no-untyped-call]
        self.indexes = index_pb2_grpc.IndexServiceStub(self.channel)  # type: ignore[no-untyped-call]
        self.health = health_pb2_grpc.HealthStub(self.channel)

    def call(self, method: Callable[..., Any], request: Any, *, timeout_s: float | None = None) -> Any:
        """As ``ModelServerClient.call``, blocking."""
        try:
            allowed_s = _allowed_s(timeout_s, self.default_timeout_s)
            return method(request, timeout=allowed_s, metadata=call_metadata())
        except grpc.RpcError as error:
            raise error_from_rpc(error) from error

    def bulk(self, requests: Iterable[Any], *, timeout_s: float | None = None) -> Iterator[Any]:
        """Send requests over the service's ``ProcessBulk`` stream; yield answers as they come.

        Raises:
            InterplayError: The stream broke; errors of single items are in their answers instead.
        """
        try:
            allowed_s = _allowed_s(timeout_s, self.default_timeout_s)
            yield from self.stub.ProcessBulk(iter(requests), timeout=allowed_s, metadata=call_metadata())
        except grpc.RpcError as error:
            raise error_from_rpc(error) from error

    def stream(
        self, method: Callable[..., Any], request: Any, *, timeout_s: float | None = None
    ) -> Iterator[Any]:
        """Call a method that answers with a stream; yield its answers as they come.

        Leaving the iterator early cancels the call.

        Raises:
            InterplayError: As ``call``, also between answers.
        """
        answers = None
        try:
            allowed_s = _allowed_s(timeout_s, self.default_timeout_s)
            answers = method(request, timeout=allowed_s, metadata=call_metadata())
            yield from answers
        except grpc.RpcError as error:
            raise error_from_rpc(error) from error
        finally:
            if answers is not None:
                answers.cancel()

    def is_serving(self, timeout_s: float = 1.0) -> bool:
        """Whether the server says it is SERVING; False when it cannot be reached."""
        request = health_pb2.HealthCheckRequest(service=self.capability.grpc_service)
        try:
            reply = self.health.Check(request, timeout=timeout_s)
        except grpc.RpcError:
            return False
        return bool(reply.status == health_pb2.HealthCheckResponse.SERVING)

    def close(self) -> None:
        """Close the channel."""
        self.channel.close()
