"""`interplay up`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from interplay.cli.app import examples, new_app

EPILOG = examples(
    "interplay up | everything, at http://127.0.0.1:8080",
    "interplay up --port 9000 --data-dir /srv/interplay",
    "interplay up --only text_detection --root ~/photos --root s3://bucket/photos",
    "interplay up --runtime torchserve | batches run in a real TorchServe",
    "INTERPLAY_REDIS_URL=redis://host:6379/0 interplay up | your Redis or Valkey, not the embedded one",
    note="""Ctrl-C stops: the gateway finishes its requests, then the worker, the model servers and Valkey
stop. A second Ctrl-C kills everything at once. Unfinished jobs go on at the next start.""",
)

app = new_app()


@app.command(epilog=EPILOG)
def up(
    port: Annotated[int | None, typer.Option(help="Port of the gateway.", show_default="8080")] = None,
    host: Annotated[
        str | None,
        typer.Option(
            help="Address of the gateway; beyond the loopback it demands API keys.",
            show_default="127.0.0.1",
        ),
    ] = None,
    data_dir: Annotated[
        Path | None,
        typer.Option(help="State: job table, results, logs.", show_default="~/.local/share/interplay"),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(help="Start this capability alone; may be repeated.", show_default=False),
    ] = None,
    root: Annotated[
        list[str] | None,
        typer.Option(
            help="Folder or fsspec URL that jobs may read and write; may be repeated.",
            show_default="this folder",
        ),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(help="Where models run: auto, cpu or cuda.", show_default="auto"),
    ] = None,
    runtime: Annotated[
        str | None,
        typer.Option(
            help="What runs them: in_process, or torchserve (extra torchserve), which is started, too.",
            show_default="in_process",
        ),
    ] = None,
    log_level: Annotated[
        str | None, typer.Option(help="DEBUG, INFO, WARNING or ERROR.", show_default="INFO")
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say where each part listens.")] = False,
) -> None:
    """Run all of Interplay on this machine, in the foreground.

    Each capability is its own process, beside a Celery worker, the gateway and, unless
    INTERPLAY_REDIS_URL is set, an embedded Valkey. Prints `ready URL` when requests are answered, and
    starts again whatever dies. Options win over INTERPLAY_* variables.
    """
    from interplay.launcher.console import LastingConsole
    from interplay.launcher.run import run
    from interplay.launcher.settings import LauncherSettings
    from interplay.settings import load_settings

    options: dict[str, Any] = {
        "port": port,
        "host": host,
        "state_dir": data_dir,
        "only": tuple(only) if only else None,
        "dataset_roots": tuple(root) if root else None,
        "device": device,
        "runtime": runtime,
        "log_level": log_level.upper() if log_level else None,
        "verbose": verbose or None,
    }
    settings = load_settings(
        LauncherSettings, **{name: value for name, value in options.items() if value is not None}
    )
    if not settings.dataset_roots:
        settings = settings.model_copy(update={"dataset_roots": (str(Path.cwd()),)})
    if not run(settings, LastingConsole(highlight=False)):
        raise typer.Exit(1)
