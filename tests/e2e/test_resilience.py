"""Overload, crashes and restarts under load, on the whole system with its real model."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Awaitable, Callable

import httpx
import pytest

from tests.conftest import wait_until
from tests.e2e.system import System, street_photo

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

PHOTO = street_photo()


async def presence(client: httpx.AsyncClient) -> httpx.Response:
    return await client.post("/v1/text:presence", files={"image": ("photo.jpg", PHOTO)})


async def load(system: System, callers: int, until: Callable[[], Awaitable[None]]) -> list[httpx.Response]:
    """Answers to ``callers`` callers that go on until ``until()`` returns."""
    answers: list[httpx.Response] = []
    done = asyncio.Event()
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=system.url, timeout=60, limits=limits, trust_env=False) as client:

        async def caller() -> None:
            while not done.is_set():
                answer = await presence(client)
                answers.append(answer)
                if answer.status_code != 200:
                    await asyncio.sleep(0.05)

        callers_tasks = [asyncio.create_task(caller()) for _ in range(callers)]
        await until()
        done.set()
        await asyncio.gather(*callers_tasks)
    return answers


def statuses(answers: list[httpx.Response]) -> Counter[int]:
    return Counter(answer.status_code for answer in answers)


async def test_the_surplus_is_refused_and_memory_stays_flat(system: System) -> None:
    async def some_seconds() -> None:
        await asyncio.sleep(6)

    async def burst() -> list[httpx.Response]:
        return await load(system, 64, some_seconds)

    await burst()
    before_kb = system.resident_kb("services.text_detection")
    answers = await burst()
    counts = statuses(answers)
    assert set(counts) == {200, 429}, counts
    refusal = next(answer for answer in answers if answer.status_code == 429)
    assert refusal.headers["content-type"] == "application/problem+json"
    assert int(refusal.headers["retry-after"]) >= 1
    assert "limit" in refusal.json()["detail"]
    assert system.resident_kb("services.text_detection") < before_kb * 1.2
    async with httpx.AsyncClient(base_url=system.url, timeout=60, trust_env=False) as client:
        assert (await presence(client)).status_code == 200


async def test_sigterm_of_a_model_server_under_load_fails_no_request(system: System) -> None:
    old = system.part_pid("services.text_detection")

    async def replace() -> None:
        await asyncio.sleep(1)
        os.kill(old, signal.SIGTERM)
        await asyncio.to_thread(
            wait_until,
            lambda: not os.path.exists(f"/proc/{old}") and system.is_ready(),
            timeout_s=90,
            what="restart",
        )
        await asyncio.sleep(1)

    answers = await load(system, 4, replace)
    assert set(statuses(answers)) == {200}, statuses(answers)
    assert system.part_pid("services.text_detection") != old


async def test_sigkill_of_a_model_server_under_load_gives_503_until_it_is_back(system: System) -> None:
    old = system.part_pid("services.text_detection")

    async def kill() -> None:
        await asyncio.sleep(1)
        os.kill(old, signal.SIGKILL)
        await asyncio.sleep(1)
        await asyncio.to_thread(wait_until, system.is_ready, timeout_s=90, what="recovery")
        await asyncio.sleep(1)

    answers = await load(system, 4, kill)
    counts = statuses(answers)
    assert set(counts) == {200, 503}, counts
    for answer in answers:
        if answer.status_code == 503:
            assert int(answer.headers["retry-after"]) >= 1
            assert answer.json()["reason"] == "UNAVAILABLE"
    assert system.is_ready()
    assert "text_detection" in system.output.read_text() and "again" in system.output.read_text()
