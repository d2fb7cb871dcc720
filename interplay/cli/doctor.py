"""`interplay doctor`: what is missing on this machine, and how to mend it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from interplay.cli.app import EXIT_FAILED, examples, new_app

app = new_app()


@app.command(
    epilog=examples(
        "interplay doctor",
        "interplay doctor --data-dir /srv/interplay --root ~/photos --port 9000 | for this `interplay up`",
        note="Exit code 1 if anything would keep Interplay from running; warnings leave it at 0.",
    )
)
def doctor(
    port: Annotated[
        int | None,
        typer.Option(help="Port that the gateway would use.", show_default="8080", min=1, max=65535),
    ] = None,
    data_dir: Annotated[
        Path | None,
        typer.Option(help="State directory to check.", show_default="~/.local/share/interplay"),
    ] = None,
    store: Annotated[
        Path | None,
        typer.Option(
            envvar="INTERPLAY_MODEL_STORE", help="Model store.", show_default="model_store of this project"
        ),
    ] = None,
    root: Annotated[
        list[str] | None,
        typer.Option(help="Dataset root to check; may be repeated.", show_default="this folder"),
    ] = None,
) -> None:
    """Check what Interplay needs on this machine, and say how to mend what is missing."""
    from rich.console import Console
    from rich.text import Text

    from interplay.launcher.checks import Outcome, all_checks
    from interplay.launcher.settings import LauncherSettings
    from interplay.settings import REPOSITORY_ROOT, load_settings

    options: dict[str, Any] = {
        "port": port,
        "state_dir": data_dir,
        "dataset_roots": tuple(root) if root else None,
    }
    settings = load_settings(
        LauncherSettings, **{name: value for name, value in options.items() if value is not None}
    )
    if not settings.dataset_roots:
        settings = settings.model_copy(update={"dataset_roots": (str(Path.cwd()),)})
    console = Console(highlight=False)
    styles = {Outcome.OK: "green", Outcome.WARN: "yellow", Outcome.FAIL: "bold red"}
    failed = 0
    for title, check in all_checks(settings, store or REPOSITORY_ROOT / "model_store"):
        with console.status(title):
            finding = check()
        line = Text.assemble(
            (f"{finding.outcome:<5}", styles[finding.outcome]), f"{title}: {finding.message}"
        )
        console.print(line, soft_wrap=True)
        if finding.mend:
            console.print(f"     → {finding.mend}", soft_wrap=True, markup=False)
        failed += finding.outcome is Outcome.FAIL
    if failed:
        raise typer.Exit(EXIT_FAILED)
