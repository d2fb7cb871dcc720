"""`interplay tag`: tags of photos at a place, and what the place changes, asked of a running gateway."""

from __future__ import annotations

import json
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from interplay.cli.app import examples, new_app
from interplay.cli.gateway_client import DEFAULT_URL, ApiKey, GatewayClient, Url
from interplay.cli.photos import Photos, for_each, post_photo
from interplay.cli.places import parse_place, show_place

if TYPE_CHECKING:
    from rich.console import Console

app = new_app(no_args_is_help=True)


@app.command(
    epilog=examples(
        "interplay tag photo.jpg --at 41.38,2.17",
        "interplay tag *.jpg --photo-place | where their EXIF says they were taken",
        "interplay tag photo.jpg | what the photo alone suggests",
        "interplay tag photo.jpg --at 41.38,2.17 --json | jq -r '.tags[].tag' | the tags alone",
        note="With a place the table shows each tag's rank for the photo alone, and that list beside it.",
    )
)
def tag(
    photos: Photos,
    at: Annotated[
        str | None,
        typer.Option(help="Where the photo was taken.", metavar="LAT,LON", show_default="nowhere"),
    ] = None,
    photo_place: Annotated[
        bool, typer.Option("--photo-place", help="Take the place that the photo says itself (EXIF).")
    ] = False,
    limit: Annotated[int, typer.Option(help="How many tags.")] = 10,
    exact: Annotated[
        bool, typer.Option("--exact", help="Score the whole vocabulary, not only likely tags.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON a photo.")] = False,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
) -> None:
    """Tag photos, at a place or without (needs `interplay up`)."""
    from rich.console import Console

    if at is not None:
        at = ",".join(str(number) for number in parse_place(at).values())
    options = {
        "at": at,
        "photo_place": str(photo_place).lower(),
        "limit": limit,
        "mode": "exact" if exact else "fast",
    }
    console = Console(highlight=False)

    def ask(client: GatewayClient, photo: Path) -> None:
        answer = post_photo(client, "/v1/locations:tag", photo, options).json()
        if as_json:
            typer.echo(json.dumps({"file": str(photo), **answer}, ensure_ascii=False))
        else:
            _print(console, photo, answer)

    for_each(photos, url, api_key, ask)


def _print(console: Console, photo: Path, answer: dict[str, Any]) -> None:
    from rich.table import Table
    from rich.text import Text

    place, alone = answer["place"], answer["without_place"]
    heading = f"{photo}: without a place"
    if place:
        whose = " (the photo's own place)" if answer["place_source"] == "photo" else ""
        heading = f"{photo} at {show_place(place)}{whose}: {answer['scored']:,} tags scored"
    console.print(heading, soft_wrap=True, markup=False, style="bold")
    if not place:
        table = Table("", "tag", "chance", box=None)
        for rank, found in enumerate(answer["tags"], start=1):
            table.add_row(str(rank), Text(found["tag"]), f"{found['score']:.1%}")
        console.print(table)
        return
    table = Table("", "tag", "score", "without the place", "", "the photo alone", "chance", box=None)
    for rank, (found, other) in enumerate(zip_longest(answer["tags"], alone), start=1):
        row = [str(rank), "", "", "", "", "", ""]
        if found:
            row[1:4] = found["tag"], f"{found['score']:.3f}", _change(rank, found, len(alone))
        if other:
            row[5:7] = other["tag"], f"{other['score']:.1%}"
        table.add_row(*(Text(cell) for cell in row))
    console.print(table)


def _change(rank: int, found: dict[str, Any], listed: int) -> str:
    """What the place did to a tag's rank: ``new (31)``, ``5 (up 3)``, ``1 (down 1)``, ``2``."""
    before = found["rank_without_place"]
    if before is None:
        return "new"
    if before > listed:
        return f"new ({before:,})"
    moved = before - rank
    return f"{before}" if moved == 0 else f"{before} ({'up' if moved > 0 else 'down'} {abs(moved)})"
