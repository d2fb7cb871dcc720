"""`interplay index snapshot`, `restore` and their like: indexes as files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from interplay.capabilities import DEFAULT_INDEX_CAPABILITY
from interplay.cli.gateway_client import DEFAULT_URL, ApiKey, GatewayClient, Url, WhoseIndexes
from interplay.errors import InternalError

if TYPE_CHECKING:
    from rich.progress import Progress

Name = Annotated[str, typer.Argument(help="Name of the index.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]

# As long as a gateway allows by default: a large index takes minutes to be written or made.
_TIMEOUT_S = 3600.0
_PIECE_BYTES = 1024 * 1024


def make(
    name: Name,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", dir_okay=False, help="File to write.", show_default="kept by the server"),
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="With --out: let the server keep it, too.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
    as_json: AsJson = False,
    capability: WhoseIndexes = DEFAULT_INDEX_CAPABILITY,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
) -> None:
    """Write an index into one file, from which it can be made again."""
    if out is not None and out.exists() and not force:
        raise typer.BadParameter(f"{out} is there already; --force writes over it", param_hint="--out")
    query = {"capability": capability}
    with GatewayClient(url, api_key, timeout_s=_TIMEOUT_S) as client:
        with _working(f"writing a snapshot of {name}"):
            made = client.request("POST", f"/v1/indexes/{name}/snapshots", params=query).json()
        path = f"/v1/indexes/{name}/snapshots/{made['snapshot']}"
        if out is not None:
            try:
                _download(client, path, query, made["bytes"], out)
            finally:
                if not keep:
                    client.request("DELETE", path, params=query)
    if as_json:
        typer.echo(json.dumps(made))
        return
    where = str(out) if out is not None else f"snapshot {made['snapshot']}"
    typer.echo(f"{name}: {made['entries']:,} photos, {made['bytes']:,} bytes in {where}")


def list_kept(
    name: Name,
    as_json: AsJson = False,
    capability: WhoseIndexes = DEFAULT_INDEX_CAPABILITY,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
) -> None:
    """Snapshots of an index that the server keeps, newest first; also of a removed one."""
    from rich.console import Console
    from rich.table import Table

    with GatewayClient(url, api_key) as client:
        path, query = f"/v1/indexes/{name}/snapshots", {"capability": capability}
        found = client.request("GET", path, params=query).json()["snapshots"]
    if as_json:
        typer.echo(json.dumps(found))
        return
    table = Table("snapshot", "photos", "bytes", "created", box=None)
    for kept in found:
        table.add_row(kept["snapshot"], f"{kept['entries']:,}", f"{kept['bytes']:,}", kept["created"])
    none = f"no snapshot yet; make one: interplay index snapshot {name}"
    Console(highlight=False).print(table if found else none)


def restore(
    name: Name,
    file: Annotated[
        Path | None,
        typer.Argument(help="A snapshot's file.", exists=True, dir_okay=False, show_default=False),
    ] = None,
    snapshot: Annotated[
        str | None, typer.Option(help="A snapshot that the server keeps.", metavar="ID", show_default=False)
    ] = None,
    of: Annotated[
        str, typer.Option(help="Index that the kept snapshot was made of.", show_default="NAME")
    ] = "",
    replace: Annotated[
        bool, typer.Option("--replace", help="Put it in the place of an index of that name.")
    ] = False,
    as_json: AsJson = False,
    capability: WhoseIndexes = DEFAULT_INDEX_CAPABILITY,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
) -> None:
    """Make an index of a snapshot: of a file, or of one that the server keeps."""
    if (file is None) == (snapshot is None):
        raise typer.BadParameter("name either a FILE or a --snapshot")
    query = {"replace": str(replace).lower(), "capability": capability}
    path = f"/v1/indexes/{name}/restore"
    with GatewayClient(url, api_key, timeout_s=_TIMEOUT_S) as client:
        if file is not None:
            index = _upload(client, path, query, file)
        else:
            body = {"snapshot": snapshot, "of": of}
            with _working(f"making {name}"):
                index = client.request("POST", path, params=query, json=body).json()
    typer.echo(json.dumps(index) if as_json else f"{name}: {index['entries']:,} photos")


def remove(
    name: Name,
    snapshot: Annotated[str, typer.Argument(metavar="ID", help="The snapshot.", show_default=False)],
    capability: WhoseIndexes = DEFAULT_INDEX_CAPABILITY,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
) -> None:
    """Remove a snapshot that the server keeps."""
    with GatewayClient(url, api_key) as client:
        path, query = f"/v1/indexes/{name}/snapshots/{snapshot}", {"capability": capability}
        client.request("DELETE", path, params=query)
    typer.echo(f"{name}: snapshot {snapshot} removed")


def _download(client: GatewayClient, path: str, query: dict[str, str], size: int, out: Path) -> None:
    """Write the answer's body into a file, which is there whole or not at all."""
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(f".{out.name}.part")
    received = 0
    try:
        with (
            _transfer() as progress,
            client.stream("GET", path, params=query) as response,
            partial.open("wb") as stream,
        ):
            shown = progress.add_task("receiving", total=size)
            for piece in response.iter_bytes():
                stream.write(piece)
                received += len(piece)
                progress.advance(shown, len(piece))
        if received != size:
            raise InternalError(f"{received:,} bytes came of {size:,}")
        partial.replace(out)
    finally:
        partial.unlink(missing_ok=True)


def _upload(client: GatewayClient, path: str, query: dict[str, str], file: Path) -> Any:
    size = file.stat().st_size
    headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
    with _transfer() as progress, file.open("rb") as stream:
        shown = progress.add_task("sending", total=size)

        def pieces() -> Iterator[bytes]:
            while piece := stream.read(_PIECE_BYTES):
                yield piece
                progress.advance(shown, len(piece))
            progress.update(shown, description="sent; the server makes the index")

        return client.request("POST", path, params=query, content=pieces(), headers=headers).json()


@contextmanager
def _transfer() -> Iterator[Progress]:
    """Bytes, speed and time left on standard error, where that is a terminal."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        yield progress


@contextmanager
def _working(what: str) -> Iterator[None]:
    from rich.console import Console

    with Console(stderr=True).status(what):
        yield
