"""Bulk streams: no hoarding, no hanging, nothing left running."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from interplay.errors import Overloaded
from interplay.serving.bulk import process_stream, with_patience


class Source:
    """Stream of numbers that counts what was taken from it."""

    def __init__(self, count: int, *, error: Exception | None = None) -> None:
        self.count = count
        self.error = error
        self.read = 0

    async def __aiter__(self) -> AsyncIterator[int]:
        for number in range(self.count):
            self.read += 1
            yield number
        if self.error:
            raise self.error


async def settle() -> None:
    """Let every task run until all wait."""
    for _ in range(50):
        await asyncio.sleep(0)


async def double(number: int) -> int:
    await asyncio.sleep(0)
    return number * 2


def aiterate(source: Source) -> AsyncIterator[int]:
    return aiter(source)


@pytest.fixture(autouse=True)
async def nothing_left_running() -> AsyncIterator[None]:
    before = asyncio.all_tasks()
    yield
    await settle()
    assert asyncio.all_tasks() <= before | {asyncio.current_task()}


@pytest.mark.parametrize("count", [0, 1, 3, 100])
@pytest.mark.parametrize("concurrency", [1, 3, 200])
async def test_every_item_is_answered_once(count: int, concurrency: int) -> None:
    stream = process_stream(aiterate(Source(count)), double, concurrency=concurrency)
    assert sorted([answer async for answer in stream]) == [2 * i for i in range(count)]


async def test_slow_reader_stops_the_reading() -> None:
    source = Source(100)
    stream = process_stream(aiterate(source), double, concurrency=3)
    for taken in range(1, 6):
        await anext(stream)
        await settle()
        # The answer in the reader's hands still holds its place: 3 places, `taken` - 1 given back.
        assert source.read == 3 + taken - 1
    await stream.aclose()


async def test_slow_handler_stops_the_reading() -> None:
    source, gate = Source(100), asyncio.Event()
    active = most = 0

    async def handle(number: int) -> int:
        nonlocal active, most
        active += 1
        most = max(most, active)
        await gate.wait()
        active -= 1
        return number

    stream = process_stream(aiterate(source), handle, concurrency=4)
    first = asyncio.ensure_future(anext(stream))
    await settle()
    assert source.read == active == 4
    gate.set()
    await first
    assert len([answer async for answer in stream]) == 99
    assert most == 4


async def test_answers_come_as_they_are_done() -> None:
    gates = [asyncio.Event() for _ in range(3)]

    async def handle(number: int) -> int:
        await gates[number].wait()
        return number

    stream = process_stream(aiterate(Source(3)), handle, concurrency=3)
    for number in (2, 0, 1):
        gates[number].set()
        assert await asyncio.wait_for(anext(stream), 10) == number
    with pytest.raises(StopAsyncIteration):
        await anext(stream)


@pytest.mark.parametrize("concurrency", [1, 2, 50])
async def test_error_in_handle_ends_the_stream_and_never_hangs(concurrency: int) -> None:
    async def handle(number: int) -> int:
        await asyncio.sleep(0)
        if number >= 3:
            raise ValueError("bug")
        return number

    answers = []
    with pytest.raises(ValueError, match="bug"):
        async with asyncio.timeout(10):
            async for answer in process_stream(aiterate(Source(30)), handle, concurrency=concurrency):
                answers.append(answer)
    assert answers == [0, 1, 2]


async def test_error_of_the_sender_comes_after_the_answers() -> None:
    answers = []
    source = Source(5, error=ConnectionError("gone"))
    with pytest.raises(ConnectionError, match="gone"):
        async with asyncio.timeout(10):
            async for answer in process_stream(aiterate(source), double, concurrency=8):
                answers.append(answer)
    assert set(answers) <= {0, 2, 4, 6, 8}


async def hold_forever(number: int) -> int:
    await asyncio.Event().wait()
    return number


async def test_leaving_the_stream_cancels_what_runs() -> None:
    cancelled = []

    async def handle(number: int) -> int:
        if number == 0:
            return number
        try:
            return await hold_forever(number)
        except asyncio.CancelledError:
            cancelled.append(number)
            raise

    stream = process_stream(aiterate(Source(100)), handle, concurrency=4)
    assert await anext(stream) == 0
    await settle()
    await stream.aclose()
    assert sorted(cancelled) == [1, 2, 3]


async def test_cancelling_the_reader_cancels_what_runs() -> None:
    async def read() -> None:
        async for _ in process_stream(aiterate(Source(100)), hold_forever, concurrency=4):
            pass

    reader = asyncio.create_task(read())
    await settle()
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader


async def test_patience_tries_again_while_full() -> None:
    attempts = 0

    async def attempt() -> str:
        nonlocal attempts
        attempts += 1
        if attempts < 4:
            raise Overloaded("full", retry_after_s=0.001)
        return "done"

    assert await with_patience(attempt, lambda: float("inf")) == "done"
    assert attempts == 4


async def test_patience_ends_with_the_time() -> None:
    left = iter([10.0, 0.05])

    async def attempt() -> str:
        raise Overloaded("full", retry_after_s=0.001)

    with pytest.raises(Overloaded):
        await with_patience(attempt, lambda: next(left))


async def test_patience_is_for_overload_only() -> None:
    async def attempt() -> str:
        raise ValueError("bug")

    with pytest.raises(ValueError, match="bug"):
        await with_patience(attempt, lambda: float("inf"))
