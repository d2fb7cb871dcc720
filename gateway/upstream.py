"""Calls to model servers on behalf of an HTTP request."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from functools import partial
from typing import Annotated, Any, Literal

from fastapi import Depends, Header, Request
from google.protobuf.message import Message

from gateway.deps import AppState, StateDep
from interplay.errors import Cancelled, InvalidParameter
from interplay.rpc.clients import ModelServerClient

TIMEOUT_HEADER = "X-Request-Timeout-Ms"


async def _deadline_s(
    state: StateDep,
    timeout_ms: Annotated[
        int | None,
        Header(
            alias=TIMEOUT_HEADER,
            ge=100,
            description="Deadline of the model's work, milliseconds after the upload is complete; then 504.",
            examples=[5000],
        ),
    ] = None,
) -> float:
    limit_s = state.settings.request_timeout_s
    if timeout_ms is None:
        return limit_s
    if timeout_ms > limit_s * 1000:
        raise InvalidParameter(
            f"{TIMEOUT_HEADER} is {timeout_ms}; the limit is {limit_s * 1000:.0f}", field=TIMEOUT_HEADER
        )
    return timeout_ms / 1000


# Which service of a capability's server: its own, that of its indexes, or the Open Inference Protocol's.
Service = Literal["stub", "indexes", "open_inference"]

# Seconds that a server call may take, from the header or the settings.
Deadline = Annotated[float, Depends(_deadline_s)]


async def call_server(
    request: Request,
    state: AppState,
    capability: str,
    method: str,
    message: Message,
    timeout_s: float,
    *,
    service: Service = "stub",
) -> Any:
    """Call a model server; the call is cancelled when the HTTP client goes away.

    Args:
        request: HTTP request whose body has been read.
        state: The process's state.
        capability: Whose server.
        method: Method of the gRPC service, e.g. ``Read``.
        message: Request message.
        timeout_s: Deadline in seconds.
        service: The capability's own, or that of its indexes.

    Returns:
        The response message.

    Raises:
        Unavailable: The capability is not part of this installation.
        Overloaded: Too many calls run already.
        Cancelled: The HTTP client went away.
        InterplayError: What the server raised.
    """
    client = state.client(capability)
    with state.admission.call(capability):
        calling = client.call(_method(client, service, method), message, timeout_s=timeout_s)
        call = asyncio.ensure_future(calling)
        gone = asyncio.ensure_future(_disconnected(request))
        try:
            await asyncio.wait((call, gone), return_when=asyncio.FIRST_COMPLETED)
            if not call.done():
                raise Cancelled("the client closed the connection")
            return call.result()
        finally:
            gone.cancel()
            call.cancel()


# The same for ``IndexService``.
call_indexes = partial(call_server, service="indexes")


async def receive_from_server(
    state: AppState,
    capability: str,
    method: str,
    message: Message,
    timeout_s: float,
    *,
    service: Service = "stub",
) -> AsyncIterator[Any]:
    """The parts of a streamed answer; closing the iterator cancels the call.

    Raises:
        InterplayError: As for ``call_server``.
    """
    client = state.client(capability)
    with state.admission.call(capability):
        parts = client.receive(_method(client, service, method), message, timeout_s=timeout_s)
        async with aclosing(parts):
            async for part in parts:
                yield part


async def send_to_server(
    request: Request,
    state: AppState,
    capability: str,
    method: str,
    head: Message,
    rest: AsyncIterator[Message] | None,
    timeout_s: float,
    *,
    service: Service = "stub",
) -> Any:
    """Send a streamed request, as fast as the server takes it, and return the answer.

    Args:
        request: HTTP request, whose body ``rest`` reads to its end.
        state: The process's state.
        capability: Whose server.
        method: Method of the gRPC service.
        head: First message, after which the server says whether it wants the others.
        rest: The others; None for none.
        timeout_s: Deadline in seconds, of everything.
        service: The capability's own, or that of its indexes.

    Raises:
        InterplayError: As for ``call_server``; also before all is sent.
    """
    client = state.client(capability)
    sent = asyncio.Event()

    async def until_sent(parts: AsyncIterator[Message]) -> AsyncIterator[Message]:
        async for part in parts:
            yield part
        sent.set()

    async def gone_after() -> None:
        await sent.wait()  # before that, whoever reads the body notices
        await _disconnected(request)

    if rest is None:
        sent.set()
    else:
        rest = until_sent(rest)
    with state.admission.call(capability):
        sending = client.send(_method(client, service, method), head, rest, timeout_s=timeout_s)
        call, gone = asyncio.ensure_future(sending), asyncio.ensure_future(gone_after())
        try:
            await asyncio.wait((call, gone), return_when=asyncio.FIRST_COMPLETED)
            if not call.done():
                raise Cancelled("the client closed the connection")
            return call.result()
        finally:
            gone.cancel()
            call.cancel()


def _method(client: ModelServerClient, service: Service, method: str) -> Any:
    return getattr(getattr(client, service), method)


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
