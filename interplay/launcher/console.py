"""What the user of `interplay up` sees: a line for each thing that happens."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from interplay.launcher.supervisor import Part


class LastingConsole(Console):
    """A console whose reader may go away (``interplay up | head``): rich would end the process then."""

    def on_broken_pipe(self) -> None:
        """Say no more, and go on running."""
        self.quiet = True


class ConsoleReport:
    """Writes readable lines; in colour and with a spinner on a terminal, plain otherwise.

    Args:
        parts: All parts, for the width of their names and for what is still awaited.
        url: The gateway, for the last line of the start.
        verbose: Also say where each part listens.
        console: Where to write.
    """

    def __init__(self, parts: Sequence[Part], url: str, *, verbose: bool, console: Console) -> None:
        self._url = url
        self._verbose = verbose
        self._console = console
        self._began = time.monotonic()
        self._width = max(len(part.name) for part in parts)
        self._awaited = [part.name for part in parts]
        self._spinner = console.status("") if console.is_terminal else None

    def starting(self, part: Part) -> None:
        """See ``supervisor.Report``."""
        self._line(part, "starting", "yellow", part.where if self._verbose else "")
        self._spin(f"waiting for {', '.join(self._awaited)}" if self._awaited else "")

    def up(self, part: Part, seconds: float, *, again: bool) -> None:
        """See ``supervisor.Report``."""
        self._line(part, "up again" if again else "up", "green", f"after {seconds:.1f} s")
        if part.name in self._awaited:
            self._awaited.remove(part.name)
            self._spin(f"waiting for {', '.join(self._awaited) or 'the gateway to see all parts'}")

    def slow(self, part: Part, seconds: float) -> None:
        """See ``supervisor.Report``."""
        self._line(part, "too slow", "red", f"does not answer after {seconds:.0f} s; killing it")

    def died(self, part: Part, how: str, lines: Sequence[str], delay_s: float) -> None:
        """See ``supervisor.Report``."""
        self._quote(lines)
        self._line(part, "died", "red", f"it {how}; starting it again in {delay_s:g} s")

    def gave_up(self, part: Part, how: str, lines: Sequence[str], log: Path) -> None:
        """See ``supervisor.Report``."""
        self._spin("")
        self._quote(lines)
        self._line(part, "failed", "red", f"it {how}; its log is {log}")

    def not_ready(self, seconds: float) -> None:
        """See ``supervisor.Report``."""
        self._print(Text(f"all parts run, but not together; {self._url}/readyz says why", style="red"))

    def ready(self) -> None:
        """Print the line that people and scripts wait for, exactly ``ready URL``."""
        self._spin("")
        self._print(Text(f"ready {self._url}", style="bold green"))

    def stopping(self, part: Part) -> None:
        """See ``supervisor.Report``."""
        self._spin("")
        self._line(part, "stopping", "yellow")

    def stopped(self, part: Part, *, gracefully: bool) -> None:
        """See ``supervisor.Report``."""
        self._line(
            part, "stopped", "green" if gracefully else "red", "" if gracefully else "had to be killed"
        )

    def _line(self, part: Part, state: str, style: str, remark: str = "") -> None:
        elapsed = f"{time.monotonic() - self._began:7.1f} s  "
        name = f"{part.name:<{self._width}}  "
        self._print(Text.assemble((elapsed, "dim"), name, (f"{state:<9}", style), remark))

    def _quote(self, lines: Sequence[str]) -> None:
        for line in lines:
            self._print(Text(f"           | {line}", style="dim"))

    def _print(self, text: Text) -> None:
        self._console.print(text, soft_wrap=True)

    def _spin(self, message: str) -> None:
        if self._spinner is None:
            return
        if message:
            self._spinner.update(message)
            self._spinner.start()
        else:
            self._spinner.stop()
