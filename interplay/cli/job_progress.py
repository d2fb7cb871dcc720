"""A job's progress in the terminal, from the gateway's server-sent events."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from interplay.cli.gateway_client import GatewayClient

if TYPE_CHECKING:
    from rich.console import Console

_FINAL = ("succeeded", "failed", "cancelled", "expired")
# A stream that was silent for this long is dead: the gateway sends a sign of life every 15 s.
_SILENCE_S = 45.0
_RECONNECTS = 20
# Speed is that of the last minutes: long enough for units that take one, short enough to follow a change.
_PACE_WINDOW_S = 180.0


class Pace:
    """Items a second and time left, from the progress seen in the last minutes."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def add(self, done: int, now: float) -> None:
        """Take in progress. What was done before the first call counts for nothing."""
        if not self._seen or done != self._seen[-1][1]:
            self._seen.append((now, done))
        while len(self._seen) > 2 and now - self._seen[1][0] > _PACE_WINDOW_S:
            self._seen.popleft()

    @property
    def items_per_s(self) -> float | None:
        """Speed; None until there was progress."""
        if len(self._seen) < 2:
            return None
        (first_at, first), (last_at, last) = self._seen[0], self._seen[-1]
        return (last - first) / (last_at - first_at) if last > first and last_at > first_at else None

    def show(self, left: int) -> str:
        """Speed and time left, for people; empty until there was progress."""
        speed = self.items_per_s
        if speed is None:
            return ""
        shown = f"{speed:.1f} items/s" if speed >= 0.95 else f"{60 * speed:.1f} items/min"
        return f"{shown}, {_duration(left / speed)} left"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def progress_of(job: dict[str, Any]) -> str:
    """Items done of items in all; empty before the job is planned."""
    done, total = job["progress"]["done"], job["progress"]["total"]
    return f"{done}/{total}" if total is not None else ""


def note_of(job: dict[str, Any]) -> str:
    """Why a job failed, or what it waits for."""
    return str(job["error"]["message"] if job["error"] else job["message"])


def follow(client: GatewayClient, job_id: str) -> dict[str, Any]:
    """Show a job's progress on standard error until its end; return the job as it is then."""
    from rich.console import Console

    console = Console(stderr=True, highlight=False)
    return (
        _follow_bar(client, job_id, console)
        if console.is_terminal
        else _follow_lines(client, job_id, console)
    )


def _follow_bar(client: GatewayClient, job_id: str, console: Console) -> dict[str, Any]:
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
    )

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[pace]}", style="cyan", markup=False),
        TextColumn("{task.fields[note]}", markup=False),
    )
    pace = Pace()
    with Progress(*columns, console=console) as progress:
        shown = progress.add_task("waiting", total=None, pace="", note="")
        for job in _events(client, job_id):
            progress.update(
                shown,
                description=job["state"],
                total=job["progress"]["total"],
                completed=job["progress"]["done"],
                pace=_pace_of(job, pace),
                note=note_of(job),
            )
    return job


def _follow_lines(client: GatewayClient, job_id: str, console: Console) -> dict[str, Any]:
    """One line for each tenth of the way and each change of state or note."""
    last = None
    pace = Pace()
    for job in _events(client, job_id):
        total, done = job["progress"]["total"], job["progress"]["done"]
        speed = _pace_of(job, pace)
        seen = (job["state"], note_of(job), 10 * done // total if total else 0)
        if seen != last:
            words = (job["state"], progress_of(job), f"({speed})" if speed else "", note_of(job))
            console.print(" ".join(word for word in words if word), markup=False, soft_wrap=True)
        last = seen
    return job


def _pace_of(job: dict[str, Any], pace: Pace) -> str:
    """Take in a job's progress; speed and time left while it runs, else nothing."""
    total, done = job["progress"]["total"], job["progress"]["done"]
    if job["state"] != "running" or total is None:
        return ""
    pace.add(done, time.monotonic())
    return pace.show(total - done)


def _events(client: GatewayClient, job_id: str) -> Iterator[dict[str, Any]]:
    """The job at each change, until its end; a stream that breaks is taken up again where it was."""
    from interplay.errors import Unavailable

    last_id = ""
    failures = 0
    while True:
        try:
            headers = {"Last-Event-ID": last_id} if last_id else {}
            with client.stream(
                "GET", f"/v1/jobs/{job_id}/events", headers=headers, timeout=_SILENCE_S
            ) as response:
                for event_id, job in _parse_events(response.iter_lines()):
                    last_id, failures = event_id, 0
                    yield job
                    if job["state"] in _FINAL:
                        return
        except Unavailable:
            failures += 1
            # The first connection must work: a wrong address should be told at once.
            if not last_id or failures > _RECONNECTS:
                raise
        time.sleep(min(0.2 * 2**failures, 5.0))


def _parse_events(lines: Iterator[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Ids and data of server-sent events; comments are signs of life and nothing more."""
    event_id, data = "", ""
    for line in lines:
        field, _, value = line.partition(": ")
        if field == "id":
            event_id = value
        elif field == "data":
            data = value
        elif not line and data:
            yield event_id, json.loads(data)
            data = ""
