"""Load against an HTTP endpoint: closed loop (N callers in turn) and open loop (arrivals at a rate).

An open loop does not slow down when the server does: it shows what a closed loop hides.
"""

from __future__ import annotations

import asyncio
import http.client
import itertools
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any
from urllib.parse import urlsplit

import httpx

from benchmarks.report import quantiles_ms

MAX_CONNECTIONS = 128
TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Response:
    """What a benchmark looks at: the status and the ``Server-Timing`` header."""

    status: int
    server_timing: str


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
    """Posts photos as multipart to one URL, from threads that each keep a connection.

    Bodies are made before anything is timed, and the standard library's blocking client costs the
    least of the cores that sender and system share.
    """

    def __init__(self, url: str, photos: list[bytes]) -> None:
        self._address = urlsplit(url)
        forms = [httpx.Request("POST", url, files={"image": ("photo.jpg", photo)}) for photo in photos]
        self._forms = itertools.cycle([(form.headers["Content-Type"], form.read()) for form in forms])
        self._pool = ThreadPoolExecutor(MAX_CONNECTIONS)
        self._mine = threading.local()

    async def send(self, outcome: Outcome) -> Response | None:
        """One request; its latency, from this call on, and its status are added to ``outcome``."""
        started = perf_counter()
        post = asyncio.get_running_loop().run_in_executor(self._pool, self._post, *next(self._forms))
        try:
            response = await post
        except (OSError, http.client.HTTPException):
            outcome.statuses[0] += 1
            return None
        seconds = perf_counter() - started
        outcome.statuses[response.status] += 1
        if response.status == 200:
            outcome.seconds.append(seconds)
        elif response.status == 429:
            outcome.refused_seconds.append(seconds)
        return response

    def _post(self, content_type: str, body: bytes) -> Response:
        connection: http.client.HTTPConnection | None = getattr(self._mine, "connection", None)
        if connection is None:
            connection = http.client.HTTPConnection(self._address.netloc, timeout=TIMEOUT_S)
            self._mine.connection = connection
        try:
            connection.request("POST", self._address.path, body, {"Content-Type": content_type})
            answer = connection.getresponse()
            answer.read()
        except BaseException:
            connection.close()
            raise
        return Response(answer.status, answer.headers.get("Server-Timing", ""))

    def close(self) -> None:
        """End the threads, and with them their connections."""
        self._pool.shutdown()


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
