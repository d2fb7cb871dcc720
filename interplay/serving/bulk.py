"""Bidirectional streams for bulk callers: bounded concurrency, answers as they are done."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import grpc

from interplay.errors import Overloaded

Request = TypeVar("Request")
Response = TypeVar("Response")

_DONE = object()


@dataclass(frozen=True)
class _Failure:
    """``handle`` raised, which ends the stream."""

    error: Exception


async def process_stream(
    requests: AsyncIterator[Request],
    handle: Callable[[Request], Awaitable[Response]],
    *,
    concurrency: int,
) -> AsyncIterator[Response]:
    """Handle a stream's items, at most ``concurrency`` at a time.

    The next item is read only when there is room, and room is given back only when an answer has
    been taken, so neither a fast sender nor a slow reader can make the server hoard.

    Args:
        requests: Items as they arrive.
        handle: Makes the answer of one item; must put the item's errors into the answer.
        concurrency: Items in progress or waiting to be taken.

    Yields:
        Answers in the order in which they are done.

    Raises:
        Exception: What the stream of requests or ``handle`` raised; items in progress are cancelled.
    """
    room = asyncio.Semaphore(concurrency)
    answers: asyncio.Queue[object] = asyncio.Queue()
    tasks: set[asyncio.Task[None]] = set()

    async def one(request: Request) -> None:
        try:
            answers.put_nowait(await handle(request))
        except Exception as error:
            answers.put_nowait(_Failure(error))

    async def feed() -> None:
        incoming = aiter(requests)
        while True:
            await room.acquire()
            try:
                request = await anext(incoming)
            except StopAsyncIteration:
                break
            task = asyncio.create_task(one(request))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        await asyncio.gather(*tasks)

    feeder = asyncio.create_task(feed())
    feeder.add_done_callback(lambda _: answers.put_nowait(_DONE))
    try:
        while (answer := await answers.get()) is not _DONE:
            if isinstance(answer, _Failure):
                raise answer.error
            yield answer  # type: ignore[misc]
            room.release()
        feeder.result()  # raises what broke the stream
    finally:
        unfinished = [feeder, *tasks]
        for task in unfinished:
            task.cancel()
        await asyncio.gather(*unfinished, return_exceptions=True)


def time_left(context: grpc.aio.ServicerContext) -> Callable[[], float]:
    """Asks for the seconds until a call's deadline; infinite if it has none."""

    def seconds() -> float:
        remaining: float | None = context.time_remaining()
        return float("inf") if remaining is None else remaining

    return seconds


async def with_patience(
    attempt: Callable[[], Awaitable[Response]], time_left_s: Callable[[], float]
) -> Response:
    """Try again while the server is full: a stream is paced by waiting, not by refusals.

    Args:
        attempt: Raises ``Overloaded`` when there is no room.
        time_left_s: Seconds until the stream's deadline.

    Raises:
        Overloaded: Still no room when the time is nearly up.
    """
    while True:
        try:
            return await attempt()
        except Overloaded as error:
            pause_s = min(error.retry_after_s or 0.1, 0.5)
            if time_left_s() < pause_s + 0.1:
                raise
            await asyncio.sleep(pause_s)
