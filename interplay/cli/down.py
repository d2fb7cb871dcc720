"""`interplay down`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from interplay.cli.app import examples, new_app

app = new_app()


@app.command(
    epilog=examples("interplay down", "interplay down --data-dir /srv/interplay | the one started on it")
)
def down(
    data_dir: Annotated[
        Path | None,
        typer.Option(help="As given to `interplay up`.", show_default="~/.local/share/interplay"),
    ] = None,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for the end.", min=0)] = 120,
) -> None:
    """Stop the `interplay up` that runs on a state directory, as Ctrl-C there would."""
    import os
    import signal
    import time

    from interplay.errors import DeadlineExceeded
    from interplay.launcher.lock import find_holder
    from interplay.launcher.settings import LauncherSettings
    from interplay.settings import load_settings

    settings = load_settings(LauncherSettings, **({"state_dir": data_dir} if data_dir else {}))
    holder = find_holder(settings.state_dir)
    if holder is None:
        typer.echo(f"nothing runs on {settings.state_dir}")
        return
    os.kill(holder.pid, signal.SIGTERM)
    deadline = time.monotonic() + timeout
    while find_holder(settings.state_dir) is not None:
        if time.monotonic() > deadline:
            raise DeadlineExceeded(f"process {holder.pid} is still stopping after {timeout:g} s")
        time.sleep(0.1)
    typer.echo(f"stopped {holder.url}")
