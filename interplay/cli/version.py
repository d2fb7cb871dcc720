"""`interplay version`."""

from __future__ import annotations

import typer

from interplay.cli.app import examples, new_app

app = new_app()


@app.command(epilog=examples("interplay version"))
def version() -> None:
    """Print the version."""
    from interplay import __version__

    typer.echo(__version__)
