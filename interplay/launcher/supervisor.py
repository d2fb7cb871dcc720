"""Keeps the parts running: starts them, watches them come up, restarts what dies, stops all in order.

One task a part runs ``_keep``. A part that dies after it was up is restarted for as long as the
launcher lives, with a growing delay; one that never came up is given a few attempts, and then
everything stops, because a system that cannot start should say so instead of trying all night.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from interplay.launcher.probes import Probe
from interplay.launcher.process import PartProcess, describe_exit, rotate_log

BAD_CONFIGURATION = 2  # the exit status of ``interplay.settings.load_settings``: trying again cannot help
LOG_LINES_SHOWN = 15


@dataclass(frozen=True, kw_only=True)
class Part:
    """One process of the system.

    Attributes:
        name: Shown to the user; also the name of its log.
        command: Program and arguments.
        environment: Variables to set beyond the launcher's own.
        probe: Says whether the part is up.
        where: Where it listens, for the user.
        needs: Names of parts that must be up before it is first started.
        stop_rank: Parts stop in ascending order of this; those of one rank stop together.
        start_timeout_s: Longest time from start to up.
        grace_s: Time to finish its work after SIGTERM.
    """

    name: str
    command: tuple[str, ...]
    environment: dict[str, str]
    probe: Probe
    where: str = ""
    needs: tuple[str, ...] = ()
    stop_rank: int = 0
    start_timeout_s: float = 180.0
    grace_s: float = 30.0


@dataclass(frozen=True, kw_only=True)
class RestartPolicy:
    """When and how often a dead part is started again.

    Attributes:
        first_delay_s: Delay before the first restart; it doubles with each failure in a row.
        longest_delay_s: The delay grows no further than this.
        calm_after_s: A part that was up this long starts over with the first delay.
        attempts_to_start: Failures after which a part that was never up is given up.
    """

    first_delay_s: float = 0.5
    longest_delay_s: float = 30.0
    calm_after_s: float = 60.0
    attempts_to_start: int = 3

    def delay_s(self, failures: int) -> float:
        """Delay after this many failures in a row (1 or more)."""
        return float(min(self.first_delay_s * 2 ** min(failures - 1, 30), self.longest_delay_s))


class Report(Protocol):
    """Where the supervisor tells what happens."""

    def starting(self, part: Part) -> None:
        """The part's process was started."""

    def up(self, part: Part, seconds: float, *, again: bool) -> None:
        """It answers, ``seconds`` after its start."""

    def slow(self, part: Part, seconds: float) -> None:
        """It does not answer after ``seconds`` and is killed."""

    def died(self, part: Part, how: str, lines: Sequence[str], delay_s: float) -> None:
        """It ended; it is started again after ``delay_s``."""

    def gave_up(self, part: Part, how: str, lines: Sequence[str], log: Path) -> None:
        """It cannot be started; everything stops."""

    def not_ready(self, seconds: float) -> None:
        """All parts have been up for ``seconds``, and the whole system still does not answer."""

    def ready(self) -> None:
        """The whole system answers."""

    def stopping(self, part: Part) -> None:
        """It was asked to finish."""

    def stopped(self, part: Part, *, gracefully: bool) -> None:
        """It is gone."""


class Supervisor:
    """Runs parts until it is told to stop.

    Args:
        parts: What to run; names are unique.
        log_directory: Folder for one log a part.
        report: Is told what happens.
        system_ready: Probe of the whole system; asked once all parts are up.
        policy: Restarts.
        poll_s: Time between two probes of a part that is coming up.
        patience_s: The user is told when all parts are up and the system is not after this time.
    """

    def __init__(
        self,
        parts: Sequence[Part],
        *,
        log_directory: Path,
        report: Report,
        system_ready: Probe,
        policy: RestartPolicy | None = None,
        poll_s: float = 0.1,
        patience_s: float = 15.0,
    ) -> None:
        self._parts = tuple(parts)
        self._log_directory = log_directory
        self._report = report
        self._system_ready = system_ready
        self._policy = policy or RestartPolicy()
        self._poll_s = poll_s
        self._patience_s = patience_s
        self._up = {part.name: asyncio.Event() for part in parts}
        self._stop = asyncio.Event()
        self._processes: dict[str, PartProcess] = {}
        self._failed = False

    def request_stop(self) -> None:
        """Stop in order; asked a second time, kill everything at once."""
        if self._stop.is_set():
            for process in self._processes.values():
                process.kill()
        self._stop.set()

    async def run(self) -> bool:
        """Run until ``request_stop`` or until a part cannot be started.

        Returns:
            Whether the end was asked for.
        """
        self._log_directory.mkdir(parents=True, exist_ok=True)
        for part in self._parts:
            rotate_log(self._log(part))
        keepers = [asyncio.create_task(self._keep_or_fail(part)) for part in self._parts]
        announcer = asyncio.create_task(self._announce())
        try:
            await self._stop.wait()
        finally:
            self._stop.set()
            announcer.cancel()
            for rank in sorted({part.stop_rank for part in self._parts}):
                await asyncio.gather(*(self._end(part) for part in self._parts if part.stop_rank == rank))
            await asyncio.gather(*keepers, announcer, return_exceptions=True)
        return not self._failed

    def _log(self, part: Part) -> Path:
        return self._log_directory / f"{part.name}.log"

    async def _keep_or_fail(self, part: Part) -> None:
        try:
            await self._keep(part)
        except Exception as error:  # a keeper that broke must not leave its part unwatched
            self._give_up(part, f"could not be run: {error!r}")

    async def _keep(self, part: Part) -> None:
        for name in part.needs:
            await self._before_stop(self._up[name].wait())
        failures, was_up = 0, False
        while not self._stop.is_set():
            started = time.monotonic()
            process = await PartProcess.start(part.command, part.environment, self._log(part))
            self._processes[part.name] = process
            if self._stop.is_set():
                process.kill()
            self._report.starting(part)
            riser = asyncio.create_task(self._watch_rise(part, process, again=was_up))
            code = await process.wait()
            riser.cancel()
            if self._stop.is_set():
                return
            was_up = was_up or self._up[part.name].is_set()
            self._up[part.name].clear()
            if time.monotonic() - started >= self._policy.calm_after_s:
                failures = 0
            failures += 1
            if not was_up and (code == BAD_CONFIGURATION or failures >= self._policy.attempts_to_start):
                self._give_up(part, describe_exit(code))
                return
            # A part that was asked to end by somebody else, and did so in order, is missed at once.
            delay_s = 0.0 if code == 0 and was_up and failures == 1 else self._policy.delay_s(failures)
            self._report.died(part, describe_exit(code), process.last_lines(LOG_LINES_SHOWN), delay_s)
            await self._before_stop(asyncio.sleep(delay_s))

    async def _watch_rise(self, part: Part, process: PartProcess, *, again: bool) -> None:
        """Wait until the part answers, and kill it when that takes too long."""
        started = time.monotonic()
        while not await part.probe():
            if (waited := time.monotonic() - started) > part.start_timeout_s:
                self._report.slow(part, waited)
                process.kill()
                return
            await asyncio.sleep(self._poll_s)
        self._up[part.name].set()
        self._report.up(part, time.monotonic() - started, again=again)

    async def _announce(self) -> None:
        for part in self._parts:
            await self._up[part.name].wait()
        began, told = time.monotonic(), False
        while not await self._system_ready():
            waited = time.monotonic() - began
            if waited > self._patience_s and not told:
                self._report.not_ready(waited)
                told = True
            await asyncio.sleep(self._poll_s)
        self._report.ready()

    def _give_up(self, part: Part, how: str) -> None:
        self._failed = True
        process = self._processes.get(part.name)
        self._report.gave_up(
            part, how, process.last_lines(LOG_LINES_SHOWN) if process else [], self._log(part)
        )
        self._stop.set()

    async def _end(self, part: Part) -> None:
        process = self._processes.get(part.name)
        if process is None or process.ended:
            return
        self._report.stopping(part)
        self._report.stopped(part, gracefully=await process.stop(part.grace_s))

    async def _before_stop(self, awaitable: Awaitable[object]) -> None:
        """Wait for it, or until everything stops, whichever comes first."""
        waiters = [asyncio.ensure_future(awaitable), asyncio.ensure_future(self._stop.wait())]
        try:
            await asyncio.wait(waiters, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for waiter in waiters:
                waiter.cancel()
