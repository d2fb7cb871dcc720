"""One process of a part: started in a group of its own, logged to a file, ended for certain."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections import deque
from pathlib import Path

from interplay.launcher.settings import child_environment

LOGS_KEPT = 3


def rotate_log(path: Path) -> None:
    """Move ``part.log`` to ``part.log.1`` and so on; the oldest of ``LOGS_KEPT`` goes."""
    for number in range(LOGS_KEPT, 0, -1):
        older = path.with_name(f"{path.name}.{number}")
        newer = path if number == 1 else path.with_name(f"{path.name}.{number - 1}")
        if newer.exists():
            newer.replace(older)


def last_lines(path: Path, count: int, *, since_byte: int = 0) -> list[str]:
    """The last lines of a log, of those after ``since_byte``; empty when there is none."""
    try:
        with path.open(errors="replace") as stream:
            stream.seek(since_byte)
            return [line.rstrip("\n") for line in deque(stream, maxlen=count)]
    except OSError:
        return []


def describe_exit(code: int) -> str:
    """An exit status in words: ``ended with status 2`` or ``was killed by SIGKILL``."""
    if code >= 0:
        return f"ended with status {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"


class PartProcess:
    """A running command, tied to this process's life."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path, log_start: int) -> None:
        self._process = process
        self._log = log
        self._log_start = log_start

    @classmethod
    async def start(cls, command: tuple[str, ...], environment: dict[str, str], log: Path) -> PartProcess:
        """Start the command; its output is appended to the log.

        Args:
            command: Program and arguments.
            environment: Variables to set beyond this process's own.
            log: File for standard output and standard error.
        """
        # In a group of its own: Ctrl-C reaches the launcher alone, which stops the parts in order.
        tethered = (sys.executable, "-P", "-m", "interplay.launcher.tether", str(os.getpid()), *command)
        with log.open("ab") as output:
            log_start = output.tell()
            process = await asyncio.create_subprocess_exec(
                *tethered,
                env=child_environment(environment),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        return cls(process, log, log_start)

    @property
    def pid(self) -> int:
        """Process id, which is the group's id too."""
        return self._process.pid

    @property
    def ended(self) -> bool:
        """Whether the process is gone."""
        return self._process.returncode is not None

    def last_lines(self, count: int) -> list[str]:
        """The last lines that this process wrote."""
        return last_lines(self._log, count, since_byte=self._log_start)

    async def wait(self) -> int:
        """Wait for its end and sweep what it left in its group; returns the exit status."""
        code = await self._process.wait()
        self._signal_group(signal.SIGKILL)
        return code

    async def stop(self, grace_s: float) -> bool:
        """SIGTERM, and SIGKILL to the whole group if it is still there after ``grace_s``.

        Returns:
            Whether it ended by itself.
        """
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(grace_s):
                await self.wait()
            return True
        except TimeoutError:
            self.kill()
            await self.wait()
            return False

    def kill(self) -> None:
        """SIGKILL to the whole group."""
        self._signal_group(signal.SIGKILL)

    def _signal_group(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)
