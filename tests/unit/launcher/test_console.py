"""What the user of `interplay up` reads."""

from __future__ import annotations

import io
from pathlib import Path

from interplay.launcher.console import ConsoleReport, LastingConsole
from interplay.launcher.supervisor import Part


async def up() -> bool:
    return True


PART = Part(name="text_detection", command=("x",), environment={}, probe=up, where="127.0.0.1:5, metrics 6")


def report(output: io.StringIO, *, verbose: bool = False, terminal: bool = False) -> ConsoleReport:
    console = LastingConsole(file=output, force_terminal=terminal, highlight=False, width=60)
    return ConsoleReport([PART], "http://127.0.0.1:8080", verbose=verbose, console=console)


def test_ready_is_a_line_of_its_own() -> None:
    output = io.StringIO()
    told = report(output)
    told.starting(PART)
    told.up(PART, 1.25, again=False)
    told.ready()
    lines = output.getvalue().splitlines()
    assert lines[-1] == "ready http://127.0.0.1:8080"
    assert "text_detection  starting" in lines[0] and "metrics" not in lines[0]
    assert lines[1].endswith("text_detection  up       after 1.2 s")


def test_verbose_says_where() -> None:
    output = io.StringIO()
    report(output, verbose=True).starting(PART)
    assert output.getvalue().endswith("127.0.0.1:5, metrics 6\n")


def test_deaths_show_the_log_and_what_happens_next() -> None:
    output = io.StringIO()
    told = report(output)
    told.died(PART, "was killed by SIGKILL", ["[bold]last[/bold] words"], 0.5)
    told.up(PART, 2, again=True)
    told.slow(PART, 180)
    told.not_ready(15)
    told.gave_up(PART, "ended with status 2", ["bad configuration"], Path("/state/logs/text_detection.log"))
    text = output.getvalue()
    assert "| [bold]last[/bold] words" in text, "a log is not markup"
    assert "it was killed by SIGKILL; starting it again in 0.5 s" in text
    assert "http://127.0.0.1:8080/readyz says why" in text
    assert "up again" in text and "after 180 s" in text
    assert text.endswith("it ended with status 2; its log is /state/logs/text_detection.log\n")


def test_stop_says_what_had_to_be_killed() -> None:
    output = io.StringIO()
    told = report(output)
    told.stopping(PART)
    told.stopped(PART, gracefully=False)
    assert output.getvalue().splitlines()[-1].endswith("stopped  had to be killed")


def test_a_terminal_gets_the_same_lines() -> None:
    output = io.StringIO()
    told = report(output, terminal=True)
    told.starting(PART)
    told.up(PART, 1, again=False)
    told.ready()
    told.stopping(PART)
    assert "ready http://127.0.0.1:8080" in output.getvalue()


def test_a_closed_output_does_not_stop_the_system() -> None:
    class Closed(io.StringIO):
        def write(self, _: str) -> int:
            raise BrokenPipeError

    told = report(Closed())
    told.ready()
    told.stopping(PART)
