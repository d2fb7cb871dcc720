"""`interplay index`: the indexes of a running gateway."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Annotated, Any

import typer

from interplay.capabilities import DEFAULT_INDEX_CAPABILITY
from interplay.cli import snapshots
from interplay.cli.app import EXIT_FAILED, examples, new_app
from interplay.cli.gateway_client import DEFAULT_URL, ApiKey, GatewayClient, Url, WhoseIndexes
from interplay.cli.photos import Photos
from interplay.cli.places import parse_place

app = new_app(no_args_is_help=True, help="Indexes of photos that can be searched (needs `interplay up`).")

Name = Annotated[str, typer.Argument(help="Name of the index.", show_default=False)]
# Photos sent in one request.
_AT_ONCE = 16


@app.command("list", epilog=examples("interplay index list"))
def list_indexes(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    capability: WhoseIndexes = DEFAULT_INDEX_CAPABILITY,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
) -> None:
    """The indexes there are, and the languages of query words."""
    from rich.console import Console
    from rich.table import Table

    with GatewayClient(url, api_key) as client:
        answer = client.request("GET", "/v1/indexes", params={"capability": capability}).json()
    if as_json:
        typer.echo(json.dumps(answer))
        return
    table = Table("index", "photos", "created", "being built", box=None)
    for index in answer["indexes"]:
        table.add_row(index["name"], f"{index['entries']:,}", index["created"], ", ".join(index["building"]))
    console = Console(highlight=False)
    console.print(table if answer["indexes"] else "no index yet; make one: interplay index create photos")
    if answer["languages"]:
        console.print(f"query words in en, {', '.join(answer['languages'])}", style="dim")


@app.command(epilog=examples("interplay index create photos"))
def create(
    name: Name,
    capability: WhoseIndexes = DEFAULT_INDEX_CAPABILITY,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
) -> None:
    """Make an empty index."""
    with GatewayClient(url, api_key) as client:
        client.request("POST", "/v1/indexes", params={"capability": capability}, json={"name": name})
    typer.echo(f"{name}: empty; add photos: interplay index add {name} *.jpg")


@app.command(
    epilog=examples(
        "interplay index add photos holiday/*.jpg",
        "interplay index add photos img.jpg --caption 'Sunset at the beach' --tag beach --at 41.38,2.19",
    )
)
def add(
    name: Name,
    photos: Photos,
    caption: Annotated[str, typer.Option(help="What the photos show.")] = "",
    tag: Annotated[list[str] | None, typer.Option(help="A tag of the photos; may be repeated.")] = None,
    at: Annotated[str | None, typer.Option(help="Where they were taken.", metavar="LAT,LON")] = None,
    time: Annotated[str | None, typer.Option(help="When they were taken (RFC 3339).")] = None,
    capability: WhoseIndexes = DEFAULT_INDEX_CAPABILITY,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
) -> None:
    """Add photos to an index; their paths, as given, are their ids."""
    facts: dict[str, Any] = {"caption": caption, "tags": tag or []}
    if at is not None:
        facts["place"] = parse_place(at)
    if time is not None:
        facts["time"] = time
    added, failed = 0, 0
    with GatewayClient(url, api_key) as client:
        for start in range(0, len(photos), _AT_ONCE):
            entries = [_entry(photo, facts) for photo in photos[start : start + _AT_ONCE]]
            answer = client.request(
                "POST",
                f"/v1/indexes/{name}/entries",
                params={"capability": capability},
                json={"entries": entries},
            ).json()
            added += answer["added"]
            for error in answer["errors"]:
                failed += 1
                typer.echo(f"{error['id']}: {error['message']}", err=True)
    typer.echo(f"{name}: {added} added" + (f", {failed} not" if failed else ""))
    if failed:
        raise typer.Exit(EXIT_FAILED)


@app.command(epilog=examples("interplay index remove photos img.jpg"))
def remove(
    name: Name,
    ids: Annotated[list[str], typer.Argument(help="Ids of the photos.", show_default=False)],
    capability: WhoseIndexes = DEFAULT_INDEX_CAPABILITY,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
) -> None:
    """Remove photos from an index."""
    with GatewayClient(url, api_key) as client:
        path, query = f"/v1/indexes/{name}/entries:delete", {"capability": capability}
        answer = client.request("POST", path, params=query, json={"ids": ids}).json()
    typer.echo(f"{name}: {answer['deleted']} removed")


@app.command(epilog=examples("interplay index drop photos --yes"))
def drop(
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    capability: WhoseIndexes = DEFAULT_INDEX_CAPABILITY,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
) -> None:
    """Remove an index with everything in it."""
    if not yes:
        typer.confirm(f"remove the index {name} with everything in it?", abort=True)
    with GatewayClient(url, api_key) as client:
        client.request("DELETE", f"/v1/indexes/{name}", params={"capability": capability})
    typer.echo(f"{name}: removed")


app.command(
    "snapshot",
    epilog=examples(
        "interplay index snapshot photos --out photos.index | into a file here",
        "interplay index snapshot photos | kept by the server",
    ),
)(snapshots.make)
app.command("snapshots", epilog=examples("interplay index snapshots photos"))(snapshots.list_kept)
app.command(
    "restore",
    epilog=examples(
        "interplay index restore photos photos.index --replace",
        "interplay index restore photos --snapshot 20261125t101500z-8c2f6f6e --replace",
        "interplay index restore copy --snapshot 20261125t101500z-8c2f6f6e --of photos",
        note="The index is then as it was when the snapshot was made; until then an old one answers.",
    ),
)(snapshots.restore)
app.command(
    "drop-snapshot", epilog=examples("interplay index drop-snapshot photos 20261125t101500z-8c2f6f6e")
)(snapshots.remove)


def _entry(photo: Path, facts: dict[str, Any]) -> dict[str, Any]:
    content = base64.b64encode(photo.read_bytes()).decode()
    return {"id": photo.as_posix(), "uri": photo.resolve().as_uri(), "image": {"content": content}, **facts}
