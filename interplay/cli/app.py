"""How a command's Typer app is made, so that all look alike."""

from __future__ import annotations

from typing import Any

import typer

# Exit codes of every command, as `interplay --help` documents them.
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_UNREACHABLE = 3


def new_app(**options: Any) -> typer.Typer:
    """A Typer app in the house style: Markdown help, no tracebacks with local variables.

    Args:
        options: Further arguments of ``typer.Typer``.
    """
    return typer.Typer(
        rich_markup_mode="markdown",
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
        **options,
    )


def examples(*lines: str, note: str = "") -> str:
    """Epilog of a command's help: its examples, then a note.

    Args:
        lines: ``command`` or ``command | what it does``; the last bar is the one that parts them.
        note: Paragraph below, Markdown.
    """
    items = []
    for line in lines:
        command, bar, remark = line.rpartition(" | ")
        command, remark = (command, remark) if bar else (line, "")
        items.append(f"- `{command}`" + (f" – {remark}" if remark else ""))
    return "\n".join(["**Examples**", "", *items, "", note])
