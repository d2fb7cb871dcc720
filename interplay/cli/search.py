"""`interplay search`: photos of an index by words, photos, places and times, asked of a running gateway."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from interplay.cli.app import examples, new_app
from interplay.cli.gateway_client import DEFAULT_URL, ApiKey, GatewayClient, Url
from interplay.cli.photos import post_photo

if TYPE_CHECKING:
    from rich.console import Console

app = new_app()

_LENGTH = re.compile(r"^([0-9.]+)\s*(m|km|mi)?$")
_METRES = {"m": 1.0, "km": 1000.0, "mi": 1609.344, None: 1.0}


def parse_place(text: str) -> tuple[float, float]:
    """Latitude and longitude in degrees, from ``41.38,2.17``.

    Raises:
        typer.BadParameter: Not two numbers.
    """
    return _numbers(text, 2, "latitude,longitude")  # type: ignore[return-value]


def parse_length(text: str) -> float:
    """Metres, from ``50km``, ``300m``, ``2mi`` or plain metres.

    Raises:
        typer.BadParameter: None of these.
    """
    match = _LENGTH.match(text.strip().lower())
    try:
        if match is None:
            raise ValueError
        return float(match[1]) * _METRES[match[2]]
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no distance; write 50km, 300m or 2mi") from None


def _numbers(text: str, count: int, what: str) -> tuple[float, ...]:
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) != count:
        raise typer.BadParameter(f"{text!r} is not {what}")
    return numbers


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
        note="Words weigh 1 unless a number follows behind a colon; a minus before a word counts it -1. "
        'Quote phrases within the query: `"\\"red car\\" street"`.',
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
    radius: Annotated[str, typer.Option(help="How near: 50km, 300m, 2mi.")] = "10km",
    box: Annotated[
        str | None,
        typer.Option(help="Taken within SOUTH,WEST,NORTH,EAST.", metavar="S,W,N,E"),
    ] = None,
    tag: Annotated[list[str] | None, typer.Option(help="With this tag; may be repeated: with each.")] = None,
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
    as_json: Annotated[bool, typer.Option("--json", help="Print the answer as one line of JSON.")] = False,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
) -> None:
    """Search an index of photos by words, photos, places and times (needs `interplay up`)."""
    from rich.console import Console

    conditions: dict[str, Any] = {
        "tags": tag or [],
        "any_tags": any_tag or [],
        "text": text,
        "after": after,
        "before": before,
        "equals": dict(_fact(fact) for fact in where or []),
    }
    if near is not None:
        latitude, longitude = parse_place(near)
        conditions["near"] = {"latitude": latitude, "longitude": longitude, "radius_m": parse_length(radius)}
    if box is not None:
        edges = _numbers(box, 4, "south,west,north,east")
        conditions["box"] = dict(zip(("south", "west", "north", "east"), edges, strict=True))
    options = {
        "index": index,
        "query": " ".join(query or []),
        "language": lang,
        "like": like or [],
        "filter": {name: value for name, value in conditions.items() if value},
        "limit": limit,
        "page_token": page_token,
        "group_duplicates": group_duplicates,
        "relevant_only": relevant_only,
    }
    with GatewayClient(url, api_key) as client:
        if image is None:
            answer = client.request("POST", "/v1/search", json=options).json()
        else:
            form = {
                **options,
                "like": json.dumps(options["like"]),
                "filter": json.dumps(options["filter"]),
                "image_weight": image_weight,
            }
            answer = post_photo(client, "/v1/search", image, form).json()
    if as_json:
        typer.echo(json.dumps(answer, ensure_ascii=False))
    else:
        _print(Console(highlight=False), answer)


def _print(console: Console, answer: dict[str, Any]) -> None:
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
        place = hit["place"] and f"{hit['place']['latitude']:.4f},{hit['place']['longitude']:.4f}"
        more = f" (+{len(hit['duplicates'])} alike)" if hit["duplicates"] else ""
        table.add_row(
            f"{hit['score']:.3f}", chance, Text(hit["id"] + more), Text(hit["caption"]), place or ""
        )
    console.print(table)
    how = "all compared" if answer["exact"] else "by the graph"
    of = "the" if answer["candidates"] is None else f"{answer['candidates']}"
    console.print(f"{len(answer['hits'])} of {of} photos that pass the filter ({how})", style="dim")
    if token := answer["next_page_token"]:
        console.print(f"more: --page-token {token}", style="dim", soft_wrap=True)
