"""What the commands share that send photos to a running gateway."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from interplay.cli.app import EXIT_FAILED
from interplay.cli.gateway_client import GatewayClient

if TYPE_CHECKING:
    from httpx import Response

Photos = Annotated[
    list[Path], typer.Argument(help="JPEG, PNG or WebP files.", exists=True, dir_okay=False, readable=True)
]


def post_photo(
    client: GatewayClient,
    path: str,
    photo: Path | None,
    options: Mapping[str, Any],
    *,
    accept: str = "application/json",
) -> Response:
    """POST a form with a photo and options.

    Args:
        client: The gateway.
        path: Of the operation.
        photo: File; None for an operation that needs none.
        options: Fields; those that are None are left out.
        accept: Media type of the answer.
    """
    # Fields without a file name, so that the form is multipart also where there is no photo.
    form: dict[str, Any] = {name: (None, str(value)) for name, value in options.items() if value is not None}
    if photo is not None:
        form["image"] = (photo.name, photo.read_bytes())
    return client.request("POST", path, files=form, headers={"Accept": accept})


def for_each(
    photos: list[Path], url: str, api_key: str | None, ask: Callable[[GatewayClient, Path], None]
) -> None:
    """Ask about every photo; one that fails is reported, and the others are still asked about.

    Args:
        photos: Files.
        url: Where the gateway is.
        api_key: For the gateway.
        ask: Asks about one photo.

    Raises:
        typer.Exit: Some photo failed.
        Unavailable, Unauthenticated, PermissionDenied: The next photo would fare no better.
    """
    from rich.console import Console
    from rich.progress import track

    from interplay.errors import InterplayError, PermissionDenied, Unauthenticated, Unavailable

    console = Console(stderr=True, highlight=False)
    failures = 0
    with GatewayClient(url, api_key) as client:
        hidden = len(photos) == 1 or not console.is_terminal
        for photo in track(photos, "photos", console=console, transient=True, disable=hidden):
            try:
                ask(client, photo)
            except (Unavailable, Unauthenticated, PermissionDenied):
                raise
            except (InterplayError, OSError) as error:
                failures += 1
                console.print(f"error: {photo}: {error}", soft_wrap=True, markup=False)
    if failures:
        raise typer.Exit(EXIT_FAILED)
