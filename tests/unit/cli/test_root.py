"""The command line as a whole: help everywhere, exit codes, no tracebacks."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from typer.main import get_command

from interplay import __version__
from interplay.cli import root
from interplay.cli.root import COMMANDS, LazyGroup


def all_commands() -> Iterator[tuple[str, ...]]:
    """Every command and sub-command, as typed."""
    group = get_command(root.app)
    assert isinstance(group, LazyGroup)
    for name in COMMANDS:
        command: Any = group.get_command(None, name)
        yield (name,)
        for sub in getattr(command, "commands", {}):
            yield (name, sub)


@pytest.mark.parametrize("words", list(all_commands()), ids=" ".join)
def test_every_command_has_help_with_an_example(
    interplay: Callable[..., Any], words: tuple[str, ...]
) -> None:
    ran = interplay(*words, "--help")
    assert ran.code == 0
    assert "Usage" in ran.out
    is_leaf = not any(len(other) > len(words) and other[: len(words)] == words for other in all_commands())
    if is_leaf:
        assert f"interplay {' '.join(words)}" in ran.out.split("Example", 1)[1]


def test_help_lists_every_command_and_the_exit_codes(interplay: Callable[..., Any]) -> None:
    ran = interplay("--help")
    assert all(name in ran.out for name in COMMANDS)
    assert "Exit codes" in ran.out and "cannot be reached" in ran.out


def test_an_example_with_a_pipe_is_shown_with_its_pipe(interplay: Callable[..., Any]) -> None:
    assert (
        "interplay text read *.jpg --json | jq -r .text – the text alone"
        in interplay("text", "read", "--help").out
    )


def test_version(interplay: Callable[..., Any]) -> None:
    ran = interplay("version")
    assert (ran.code, ran.out.strip()) == (0, __version__)


@pytest.mark.parametrize(
    "arguments", [("modles",), ("models", "verfy"), ("up", "--prot", "1"), ("up", "--port", "x")]
)
def test_wrong_usage_is_2_and_says_what_is_wrong(
    interplay: Callable[..., Any], arguments: tuple[str, ...]
) -> None:
    ran = interplay(*arguments)
    assert ran.code == 2
    assert "Traceback" not in ran.err and "Error" in ran.err


def test_a_misspelt_command_is_guessed(interplay: Callable[..., Any]) -> None:
    assert "Did you mean 'models'?" in interplay("modles").err


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("up", "--port", "99999"), "INTERPLAY_PORT"),
        (("up", "--device", "tpu"), "INTERPLAY_DEVICE"),
        (("up", "--log-level", "loud"), "INTERPLAY_LOG_LEVEL"),
    ],
)
def test_bad_configuration_is_2_and_one_line(
    interplay: Callable[..., Any], arguments: tuple[str, ...], complaint: str
) -> None:
    ran = interplay(*arguments)
    assert ran.code == 2
    assert complaint in ran.err and len(ran.err.strip().splitlines()) == 1


def test_the_console_script_works() -> None:
    program = "from interplay.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, "version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == __version__
