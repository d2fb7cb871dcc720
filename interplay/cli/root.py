"""Root of the command line: finds a command's module when it is called, and turns errors into exit codes.

Each command is a Typer app named ``app`` in a module of its own, imported only when needed, so that
``interplay models list`` does not pay for what ``interplay up`` imports. No command imports torch.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

from typer.core import TyperGroup
from typer.main import get_command

from interplay.cli.app import EXIT_FAILED, EXIT_UNREACHABLE, examples, new_app
from interplay.errors import InterplayError, Unavailable

EPILOG = examples(
    "interplay up | run everything on this machine",
    "interplay text read photo.jpg | the words of a photo",
    "interplay style transfer photo.jpg --style warm-neon | its text with other looks",
    'interplay search "beach people:-0.5" --index photos | photos by words',
    "interplay tag photo.jpg --at 41.38,2.17 | tags of a photo at a place",
    'interplay hate classify --text "Have a nice day" | whether a post is hate speech, and why',
    "interplay analyze map photos --words beach,dog | what the embedding has learnt, as pictures",
    "interplay models list | what the model store holds",
    "interplay COMMAND --help | examples of each command",
    note="""**Exit codes**: 0 done; 1 failed, the reason is on standard error; 2 wrong usage or bad
configuration; 3 the gateway or another part cannot be reached; 130 interrupted.""",
)

# Command → module that holds its Typer app, in the order of `interplay --help`.
COMMANDS = {
    "up": "interplay.cli.up",
    "down": "interplay.cli.down",
    "doctor": "interplay.cli.doctor",
    "text": "interplay.cli.text",
    "style": "interplay.cli.style",
    "search": "interplay.cli.search",
    "tag": "interplay.cli.tag",
    "hate": "interplay.cli.hate",
    "index": "interplay.cli.index",
    "analyze": "interplay.cli.analyze",
    "jobs": "interplay.cli.jobs",
    "models": "interplay.cli.models",
    "keys": "interplay.cli.keys",
    "version": "interplay.cli.version",
}


class LazyGroup(TyperGroup):
    """A group that imports a command's module when the command is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Names in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command, or None if there is none of that name."""
        module = COMMANDS.get(cmd_name)
        if module is None:
            return None
        command = get_command(importlib.import_module(module).app)
        command.name = cmd_name
        return command

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """As Typer does; it looks for what a misspelt name may mean among the keys of ``commands``."""
        names: dict[str, Any] = dict.fromkeys(COMMANDS)
        self.commands = names
        return super().resolve_command(ctx, args)


app = new_app(cls=LazyGroup, no_args_is_help=True, epilog=EPILOG)


@app.callback()
def interplay() -> None:
    """Interplay reads scenes in which images, text and places meet."""


def run(arguments: list[str] | None = None) -> None:
    """Run a command and end the process with its exit code."""
    try:
        app(arguments, prog_name="interplay")
    except InterplayError as error:
        where = f" ({error.field})" if error.field else ""
        print(f"error: {error.message}{where}", file=sys.stderr)
        sys.exit(EXIT_UNREACHABLE if isinstance(error, Unavailable) else EXIT_FAILED)
