"""`interplay search`: photos of an index by words, photos, places and times, asked of a running gateway."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from interplay.cli.app import examples, new_app
from interplay.cli.found import print_found, print_located, write_pictures
from interplay.cli.gateway_client import DEFAULT_URL, ApiKey, GatewayClient, Url
from interplay.cli.photos import post_photo
from interplay.cli.places import parse_length, parse_numbers, parse_place

if TYPE_CHECKING:
    from httpx import Response

app = new_app()

# How near a photo must be where words are searched for and nobody says.
_RADIUS_M = 10_000.0


def _fact(text: str) -> tuple[str, Any]:
    """Name and value of ``name=value``; a value that is JSON is taken as such, any other as text."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise typer.BadParameter(f"{text!r} is not name=value")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


@app.command(
    epilog=examples(
        'interplay search "beach:1 people:-0.5" --index photos --near 41.38,2.17 --radius 50km',
        "interplay search --image photo.jpg night --index photos | like this photo, but at night",
        "interplay search gos --lang ca --index photos --tag park --after 2020-01-01T00:00:00Z",
        "interplay search bridge --index photos --json | jq -r '.hits[].uri' | where they are",
        "interplay search --tag bridge --near 41.38,2.17 --map bridges.html | bridges as they look there",
        note="Words weigh 1 unless a number follows behind a colon; a minus before a word counts it -1. "
        'Quote phrases within the query: `"\\"red car\\" street"`. '
        "With `--tag` alone, without words and photos, tags and place are scored together (LocSens).",
    )
)
def search(
    query: Annotated[
        list[str] | None, typer.Argument(help="Words and phrases with weights.", show_default=False)
    ] = None,
    index: Annotated[str, typer.Option(help="Name of the index.")] = "photos",
    image: Annotated[
        Path | None, typer.Option(help="A photo to search by.", exists=True, dir_okay=False)
    ] = None,
    image_weight: Annotated[float, typer.Option(help="How much it counts.")] = 1.0,
    like: Annotated[
        list[str] | None, typer.Option(help="Id of a photo of the index; may be repeated.")
    ] = None,
    lang: Annotated[str, typer.Option(help="Language of the words beside English: es, ca, fr, de, …")] = "",
    near: Annotated[
        str | None, typer.Option(help="Taken near LATITUDE,LONGITUDE.", metavar="LAT,LON")
    ] = None,
    radius: Annotated[
        str | None,
        typer.Option(help="How near: 50km, 300m, 2mi.", show_default="10km; anywhere with --tag alone"),
    ] = None,
    box: Annotated[
        str | None,
        typer.Option(help="Taken within SOUTH,WEST,NORTH,EAST.", metavar="S,W,N,E"),
    ] = None,
    tag: Annotated[
        list[str] | None,
        typer.Option(
            help="With this tag; may be repeated: with each. Without words and photos: photos that fit the "
            "tags and the place of --near, whatever tags they have."
        ),
    ] = None,
    any_tag: Annotated[list[str] | None, typer.Option(help="With one of these tags.")] = None,
    text: Annotated[str, typer.Option(help="With all of these words in the caption.")] = "",
    after: Annotated[str | None, typer.Option(help="Taken at or after this time (RFC 3339).")] = None,
    before: Annotated[str | None, typer.Option(help="Taken before this time (RFC 3339).")] = None,
    where: Annotated[list[str] | None, typer.Option(help="With NAME=VALUE among its further facts.")] = None,
    limit: Annotated[int, typer.Option(help="How many hits.")] = 20,
    page_token: Annotated[str, typer.Option(help="Where to go on, as an answer said.")] = "",
    group_duplicates: Annotated[
        bool, typer.Option("--group-duplicates", help="Near-duplicates once.")
    ] = False,
    relevant_only: Annotated[
        bool, typer.Option("--relevant-only", help="Leave out what is below the cut-off.")
    ] = False,
    exact: Annotated[
        bool, typer.Option("--exact", help="With --tag alone: score every photo, not only candidates.")
    ] = False,
    page: Annotated[
        Path | None, typer.Option("--map", help="Write a map of the hits here, an HTML file.", dir_okay=False)
    ] = None,
    sheet: Annotated[
        Path | None, typer.Option(help="Write a contact sheet of the hits here, a PNG file.", dir_okay=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the answer as one line of JSON.")] = False,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
) -> None:
    """Search an index of photos by words, photos, tags, places and times (needs `interplay up`)."""
    from rich.console import Console

    if radius is not None and near is None:
        raise typer.BadParameter("--radius needs --near")
    by_tags = bool(tag) and not (query or image or like)
    if exact and not by_tags:
        raise typer.BadParameter("--exact needs --tag, without words and photos")
    if by_tags and (lang or page_token or relevant_only):
        raise typer.BadParameter("--lang, --page-token and --relevant-only need words or a photo")
    place = None if near is None else parse_place(near)
    radius_m = None if radius is None else parse_length(radius)
    conditions: dict[str, Any] = {
        "tags": [] if by_tags else tag or [],
        "any_tags": any_tag or [],
        "text": text,
        "after": after,
        "before": before,
        "equals": dict(_fact(fact) for fact in where or []),
    }
    if place and not by_tags:
        conditions["near"] = {**place, "radius_m": _RADIUS_M if radius_m is None else radius_m}
    if box is not None:
        edges = parse_numbers(box, 4, "south,west,north,east")
        conditions["box"] = dict(zip(("south", "west", "north", "east"), edges, strict=True))
    shared = {
        "index": index,
        "filter": {name: value for name, value in conditions.items() if value},
        "limit": limit,
        "group_duplicates": group_duplicates,
    }

    if by_tags:
        mode = "exact" if exact else "fast"
        located = {"tags": tag, "place": place, "radius_m": radius_m, "mode": mode, **shared}
    else:
        options = {
            "query": " ".join(query or []),
            "language": lang,
            "like": like or [],
            "page_token": page_token,
            "relevant_only": relevant_only,
            **shared,
        }

    with GatewayClient(url, api_key) as client:

        def ask(accept: str) -> Response:
            headers = {"Accept": accept}
            if by_tags:
                return client.request("POST", "/v1/locations:search", json=located, headers=headers)
            if image is None:
                return client.request("POST", "/v1/search", json=options, headers=headers)
            form = {
                **options,
                "like": json.dumps(options["like"]),
                "filter": json.dumps(options["filter"]),
                "image_weight": image_weight,
            }
            return post_photo(client, "/v1/search", image, form, accept=accept)

        answer = ask("application/json").json()
        if as_json:
            typer.echo(json.dumps(answer, ensure_ascii=False))
        else:
            (print_located if by_tags else print_found)(Console(highlight=False), answer)
        write_pictures(ask, answer, page, sheet)
