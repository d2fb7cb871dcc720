"""The request id: the caller's when it is harmless, else a fresh one, and each task's own."""

from __future__ import annotations

import asyncio
import re

import pytest

from interplay.telemetry.context import accept_request_id, get_request_id, new_request_id, set_request_id


@pytest.mark.parametrize("candidate", ["a", "A-1_b.c:d", "x" * 64, "0"])
def test_harmless_ids_are_kept(candidate: str) -> None:
    assert accept_request_id(candidate) == candidate


@pytest.mark.parametrize(
    "candidate", [None, "", "x" * 65, "a b", "a\n", "\na", "a\r\nb", "ä", 'a"b', "a;b", "<a>", "\x00", "a/b"]
)
def test_other_ids_are_replaced(candidate: str | None) -> None:
    accepted = accept_request_id(candidate)
    assert accepted != candidate
    assert re.fullmatch(r"[0-9a-f]{32}", accepted)


def test_fresh_ids_differ() -> None:
    assert len({new_request_id() for _ in range(1000)}) == 1000


async def test_each_task_has_its_own() -> None:
    async def one(name: str) -> str:
        set_request_id(name)
        await asyncio.sleep(0.01)
        return get_request_id()

    assert await asyncio.gather(*(one(str(i)) for i in range(5))) == [str(i) for i in range(5)]
