"""A text detection server whose answers the test decides: real gRPC, no models."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health_aio

from interplay.capabilities import get_capability
from interplay.rpc.common.v1 import index_pb2, index_pb2_grpc
from interplay.rpc.text_detection.v1 import text_detection_pb2 as pb
from interplay.rpc.text_detection.v1 import text_detection_pb2_grpc as pb_grpc
from interplay.serving.interceptors import ActiveCalls, EdgeInterceptor
from interplay.settings import MAX_MESSAGE_BYTES

CAPABILITY = get_capability("text_detection")

Act = Callable[[Any, grpc.aio.ServicerContext], Awaitable[None]]


async def answer_at_once(request: pb.PresenceRequest, context: grpc.aio.ServicerContext) -> None:
    """Do nothing: the call succeeds."""


@dataclass
class ScriptedService(pb_grpc.TextDetectionServiceServicer, index_pb2_grpc.IndexServiceServicer):
    """``Presence`` and ``DropIndex`` do what ``act`` does and answer; ``ProcessBulk`` echoes ids.

    Attributes:
        act: May raise or wait.
        calls: Metadata of the calls so far.
        health: Its health, to change.
        address: Where it listens.
        bulk_ended: Number of bulk streams that ended.
    """

    act: Act = answer_at_once
    calls: list[dict[str, Any]] = field(default_factory=list)
    health: Any = None
    address: str = ""
    bulk_ended: int = 0

    async def Presence(
        self, request: pb.PresenceRequest, context: grpc.aio.ServicerContext
    ) -> pb.PresenceResponse:
        self.calls.append(dict(context.invocation_metadata() or ()))
        await self.act(request, context)
        return pb.PresenceResponse(width=len(request.image.content), mean_probability=0.5)

    async def DropIndex(
        self, request: index_pb2.DropIndexRequest, context: grpc.aio.ServicerContext
    ) -> index_pb2.DropIndexResponse:
        self.calls.append(dict(context.invocation_metadata() or ()))
        await self.act(request, context)
        return index_pb2.DropIndexResponse()

    async def ProcessBulk(
        self, requests: AsyncIterator[pb.ProcessBulkRequest], context: grpc.aio.ServicerContext
    ) -> AsyncIterator[pb.ProcessBulkResponse]:
        try:
            async for request in requests:
                await self.act(request.presence, context)
                yield pb.ProcessBulkResponse(id=request.id, presence=pb.PresenceResponse(width=1))
        finally:
            self.bulk_ended += 1

    async def set_serving(self, serving: bool) -> None:
        """Report SERVING or NOT_SERVING."""
        status = health_pb2.HealthCheckResponse
        await self.health.set(CAPABILITY.grpc_service, status.SERVING if serving else status.NOT_SERVING)


@asynccontextmanager
async def scripted_server(
    act: Act = answer_at_once, *, serving: bool = True, port: int = 0, edge: bool = True
) -> AsyncIterator[ScriptedService]:
    """Run a ``ScriptedService``; ``edge`` puts the edge interceptor in front, as real servers do."""
    server = grpc.aio.server(
        interceptors=[EdgeInterceptor(ActiveCalls())] if edge else [],
        options=[
            ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
            ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
            ("grpc.so_reuseport", 0),
        ],
    )
    service = ScriptedService(act)
    service.health = health_aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(service.health, server)
    pb_grpc.add_TextDetectionServiceServicer_to_server(service, server)
    index_pb2_grpc.add_IndexServiceServicer_to_server(service, server)
    await service.set_serving(serving)
    service.address = f"127.0.0.1:{server.add_insecure_port(f'127.0.0.1:{port}')}"
    await server.start()
    try:
        yield service
    finally:
        await server.stop(0)
