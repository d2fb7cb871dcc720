"""Load against an HTTP endpoint: closed loop (N callers in turn) and open loop (arrivals at a rate).

An open loop does not slow down when the server does: it shows what a closed loop hides.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import httpx

from benchmarks.report import quantiles_ms


@dataclass
class Outcome:
    """What came of a run.

    Attributes:
        seconds: Latencies of answers with status 200.
        refused_seconds: Latencies of answers with status 429.
        statuses: Number of answers by status; 0 stands for a broken connection or a time-out.
        duration_s: First request to last answer.
    """

    seconds: list[float] = field(default_factory=list)
    refused_seconds: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    duration_s: float = 0.0

    @property
    def goodput(self) -> float:
        """Answers with status 200 a second."""
        return len(self.seconds) / self.duration_s if self.duration_s else 0.0

    def row(self) -> dict[str, Any]:
        """Figures for a table."""
        total = sum(self.statuses.values())
        failed = total - self.statuses[200] - self.statuses[429]
        return {
            "goodput_per_s": round(self.goodput, 2),
            **quantiles_ms(self.seconds),
            "refused": self.statuses[429],
            "refused_p50_ms": quantiles_ms(self.refused_seconds)["p50_ms"],
            "failed": failed,
            "requests": total,
        }


class Sender:
    """Posts photos as multipart to one URL."""

    def __init__(self, url: str, photos: list[bytes], headers: dict[str, str] | None = None) -> None:
        self._url = url
        self._photos = itertools.cycle(photos)
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=256)
        self._client = httpx.AsyncClient(timeout=60.0, limits=limits, headers=headers, trust_env=False)

    async def send(self, outcome: Outcome) -> httpx.Response | None:
        """One request; its latency and status are added to ``outcome``."""
        started = perf_counter()
        try:
            response = await self._client.post(self._url, files={"image": ("photo.jpg", next(self._photos))})
        except httpx.HTTPError:
            outcome.statuses[0] += 1
            return None
        seconds = perf_counter() - started
        outcome.statuses[response.status_code] += 1
        if response.status_code == 200:
            outcome.seconds.append(seconds)
        elif response.status_code == 429:
            outcome.refused_seconds.append(seconds)
        return response

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()


async def closed_loop(sender: Sender, *, callers: int, duration_s: float) -> Outcome:
    """``callers`` callers, each sending its next request when it has its answer."""
    outcome = Outcome()
    started = perf_counter()

    async def caller() -> None:
        while perf_counter() - started < duration_s:
            await sender.send(outcome)

    await asyncio.gather(*(caller() for _ in range(callers)))
    outcome.duration_s = perf_counter() - started
    return outcome


async def open_loop(sender: Sender, *, per_s: float, duration_s: float) -> Outcome:
    """Requests at a constant rate, whatever becomes of them."""
    outcome = Outcome()
    started = perf_counter()
    tasks = []
    for number in range(int(per_s * duration_s)):
        await asyncio.sleep(max(0.0, started + number / per_s - perf_counter()))
        tasks.append(asyncio.create_task(sender.send(outcome)))
    await asyncio.gather(*tasks)
    outcome.duration_s = perf_counter() - started
    return outcome
