"""`interplay keys`: API keys for a gateway that others can reach."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from interplay.cli.app import examples, new_app

app = new_app(no_args_is_help=True, help="API keys, of which only hashes are kept.")


class Scope(StrEnum):
    """What a key may do, as in ``interplay.api_keys.SCOPES``."""

    INFER = "infer"
    JOBS = "jobs"
    ADMIN = "admin"


KeyFile = Annotated[
    Path,
    typer.Option(
        "--file",
        envvar="INTERPLAY_API_KEYS_FILE",
        help="The key file; made if it is missing.",
        dir_okay=False,
    ),
]


@app.callback()
def keys() -> None:
    """API keys, of which only hashes are kept."""


@app.command(
    epilog=examples(
        "interplay keys create alice --file keys.json",
        "interplay keys create batch --scope infer --scope jobs --rate 20 --file keys.json",
        "INTERPLAY_API_KEYS_FILE=keys.json interplay up --host 0.0.0.0 | serve other machines",
        note="The key goes to standard output, everything else to standard error. A running gateway reads "
        "the file again by itself. To revoke a key, delete its entry.",
    )
)
def create(
    name: Annotated[str, typer.Argument(help="Id of the key, for logs and rate limits.")],
    file: KeyFile,
    scope: Annotated[
        list[Scope] | None,
        typer.Option(help="What it may do; may be repeated.", show_default="infer and jobs"),
    ] = None,
    rate: Annotated[
        float | None, typer.Option(help="Requests a second; 0 is unlimited.", show_default="the gateway's")
    ] = None,
) -> None:
    """Make a key, print it once, and keep its hash in the key file."""
    from interplay.api_keys import ApiKeyFileError, create_api_key
    from interplay.errors import Conflict

    scopes = scope or [Scope.INFER, Scope.JOBS]
    try:
        secret = create_api_key(file, name, [str(s) for s in scopes], rate=rate)
    except ApiKeyFileError as error:
        raise Conflict(str(error)) from error
    typer.echo(
        f"key {name} ({', '.join(scopes)}) added to {file}; this is the only time it is shown:", err=True
    )
    typer.echo(secret)


@app.command(
    "list",
    epilog=examples("interplay keys list --file keys.json", note="Secrets are not kept, so none are shown."),
)
def list_(file: KeyFile) -> None:
    """List the keys of a file."""
    from rich.console import Console
    from rich.table import Table

    from interplay.api_keys import ApiKeyFileError, load_api_keys
    from interplay.errors import Conflict

    try:
        entries = load_api_keys(file)
    except ApiKeyFileError as error:
        raise Conflict(str(error)) from error
    table = Table("id", "scopes", "rate", box=None)
    for key in entries:
        table.add_row(
            key.id, ", ".join(sorted(key.scopes)), "the gateway's" if key.rate is None else f"{key.rate:g}/s"
        )
    Console().print(table)
