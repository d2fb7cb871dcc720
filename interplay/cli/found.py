"""What `interplay search` shows of an answer: tables, and files with maps and contact sheets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from interplay.cli.places import show_place
from interplay.errors import InvalidParameter

if TYPE_CHECKING:
    from httpx import Response
    from rich.console import Console


def print_found(console: Console, answer: dict[str, Any]) -> None:
    """Hits of a search by words and photos, how the words were read, and where to go on."""
    from rich.table import Table
    from rich.text import Text

    for found in answer["understood"]["read_as"]:
        console.print(
            f"{found['word']}: read as {', '.join(found['stand_ins'])}", style="yellow", markup=False
        )
    if unknown := answer["understood"]["unknown"]:
        console.print(f"unknown, left out: {', '.join(unknown)}", style="yellow", markup=False)
    table = Table("score", "chance", "id", "caption", "place", box=None)
    for hit in answer["hits"]:
        chance = "" if hit["probability"] is None else f"{hit['probability']:.0%}"
        table.add_row(
            f"{hit['score']:.3f}", chance, Text(_named(hit)), Text(hit["caption"]), show_place(hit["place"])
        )
    console.print(table)
    how = "all compared" if answer["exact"] else "by the graph"
    of = "the" if answer["candidates"] is None else f"{answer['candidates']}"
    console.print(f"{len(answer['hits'])} of {of} photos that pass the filter ({how})", style="dim")
    if token := answer["next_page_token"]:
        console.print(f"more: --page-token {token}", style="dim", soft_wrap=True)


def print_located(console: Console, answer: dict[str, Any]) -> None:
    """Hits of a search by tags and a place."""
    from rich.table import Table
    from rich.text import Text

    from interplay.media.geo_map import distance_text

    table = Table("score", "distance", "id", "caption", "place", box=None)
    for hit in answer["hits"]:
        distance = "" if hit["distance_m"] is None else distance_text(hit["distance_m"])
        table.add_row(
            f"{hit['score']:.3f}", distance, Text(_named(hit)), Text(hit["caption"]), show_place(hit["place"])
        )
    console.print(table)
    how = "all that pass the filter" if answer["exact"] else "candidates; --exact scores all"
    model = answer["model"]["name"]
    console.print(
        f"{len(answer['hits'])} photos; {answer['scored']:,} scored by {model} ({how})", style="dim"
    )


def write_pictures(
    ask: Callable[[str], Response], answer: dict[str, Any], page: Path | None, sheet: Path | None
) -> None:
    """Write the map and the contact sheet of a search, where they are wanted.

    Args:
        ask: Asks the same search for an answer of a media type.
        answer: What was found.
        page: For the map, an HTML file.
        sheet: For the contact sheet, a PNG file; there is none of nothing.

    Raises:
        InvalidParameter: A file cannot be written.
    """
    for target, media_type in ((page, "text/html"), (sheet, "image/png")):
        if target is None:
            continue
        if media_type == "image/png" and not answer["hits"]:
            typer.echo(f"{target}: not written, there is nothing to draw", err=True)
            continue
        content = ask(media_type).content
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        except OSError as error:
            raise InvalidParameter(f"{target} cannot be written: {error.strerror}") from error
        typer.echo(f"{target}: {len(content):,} bytes", err=True)


def _named(hit: dict[str, Any]) -> str:
    more = f" (+{len(hit['duplicates'])} alike)" if hit["duplicates"] else ""
    return f"{hit['id']}{more}"
