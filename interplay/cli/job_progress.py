"""A job's progress in the terminal, from the gateway's server-sent events."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from interplay.cli.gateway_client import GatewayClient

if TYPE_CHECKING:
    from rich.console import Console

_FINAL = ("succeeded", "failed", "cancelled", "expired")
# A stream that was silent for this long is dead: the gateway sends a sign of life every 15 s.
_SILENCE_S = 45.0
_RECONNECTS = 20


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
        ProgressColumn,
        SpinnerColumn,
        Task,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Speed(ProgressColumn):
        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text(f"{speed:.1f}/s" if speed else "", style="cyan")

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        Speed(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False),
    )
    with Progress(*columns, console=console) as progress:
        shown = progress.add_task("waiting", total=None, note="")
        planned = False
        for job in _events(client, job_id):
            total, done = job["progress"]["total"], job["progress"]["done"]
            if total is not None and not planned:
                # A new row, so that what was done before we came does not count as speed.
                progress.remove_task(shown)
                shown = progress.add_task(job["state"], total=total, completed=done, note="")
                planned = True
            progress.update(shown, description=job["state"], completed=done, note=note_of(job))
    return job


def _follow_lines(client: GatewayClient, job_id: str, console: Console) -> dict[str, Any]:
    """One line for each tenth of the way and each change of state or note."""
    last = None
    for job in _events(client, job_id):
        total, done = job["progress"]["total"], job["progress"]["done"]
        seen = (job["state"], note_of(job), 10 * done // total if total else 0)
        if seen != last:
            console.print(
                f"{job['state']} {progress_of(job)} {note_of(job)}".rstrip(), markup=False, soft_wrap=True
            )
        last = seen
    return job


def _events(client: GatewayClient, job_id: str) -> Iterator[dict[str, Any]]:
    """The job at each change, until its end; a stream that breaks is taken up again where it was."""
    import time

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
