"""`interplay jobs`: long work, asked of a running gateway."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from interplay.cli.app import EXIT_FAILED, examples, new_app
from interplay.cli.gateway_client import DEFAULT_URL, ApiKey, GatewayClient, Url
from interplay.cli.job_progress import follow, note_of, progress_of

app = new_app(no_args_is_help=True, help="Long work over data sets (needs `interplay up`).")

JobId = Annotated[str, typer.Argument(metavar="ID", help="Job id, as `submit` and `list` show it.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]

_LEAST_WIDTH = 110
_STATE_STYLES = {"succeeded": "green", "failed": "red", "cancelled": "yellow", "expired": "dim"}


@app.command(
    epilog=examples(
        "interplay jobs kinds | which kinds there are, and their parameters",
        "interplay jobs kinds filter_text_images | one kind, with a description of each parameter",
    )
)
def kinds(
    name: Annotated[
        str | None, typer.Argument(metavar="KIND", help="Show this kind alone.", show_default=False)
    ] = None,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
) -> None:
    """List the kinds of jobs and their parameters."""
    from rich.console import Console
    from rich.table import Table

    from interplay.errors import NotFound

    with GatewayClient(url, api_key) as client:
        found = client.request("GET", "/v1/job-kinds").json()["kinds"]
    if name is not None:
        known = ", ".join(kind["name"] for kind in found)
        found = [kind for kind in found if kind["name"] == name]
        if not found:
            raise NotFound(f"there is no job kind {name!r}; known: {known}")
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    console = Console(highlight=False)
    for kind in found:
        console.print(f"{kind['name']}: {kind['summary']}", style="bold", markup=False, soft_wrap=True)
        table = Table("parameter", "default", "description", box=None)
        schema = kind["params_schema"]
        for field, facts in schema["properties"].items():
            default = "required" if field in schema.get("required", ()) else json.dumps(facts.get("default"))
            table.add_row(field, default, facts.get("description", ""))
        console.print(table)
        arguments = " ".join(f"-p {name}={_shown(value)}" for name, value in _flat(kind["example"]))
        console.print(
            f"example: interplay jobs submit {kind['name']} {arguments}\n", markup=False, soft_wrap=True
        )


@app.command(
    epilog=examples(
        "interplay jobs submit filter_text_images -p input=photos -p output=filtered --watch",
        "interplay jobs submit filter_text_images -p input=set.jsonl -p output=few -p rule.threshold=0.05",
        "interplay jobs submit filter_text_images --params params.json --idempotency-key nightly-1",
        note="Paths are those of the worker's machine; relative ones start in its first data set root.",
    )
)
def submit(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="Kind of job; see `interplay jobs kinds`.")],
    param: Annotated[
        list[str] | None,
        typer.Option(
            "--param",
            "-p",
            metavar="NAME=VALUE",
            help="Parameter; the value is JSON, or else text. Dots reach inside: `rule.threshold=0.05`.",
            show_default=False,
        ),
    ] = None,
    params: Annotated[
        Path | None,
        typer.Option(help="JSON file with parameters; `-p` goes before it.", exists=True, dir_okay=False),
    ] = None,
    idempotency_key: Annotated[
        str | None,
        typer.Option(help="Submitting again with the same key gives the same job.", show_default=False),
    ] = None,
    watch_it: Annotated[bool, typer.Option("--watch", "-w", help="Follow it to its end.")] = False,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
) -> None:
    """Submit a job and print its id."""
    body = {"kind": kind, "params": _parameters(param or [], params)}
    headers = {"Idempotency-Key": idempotency_key} if idempotency_key is not None else {}
    with GatewayClient(url, api_key) as client:
        job = client.request("POST", "/v1/jobs", json=body, headers=headers).json()
        typer.echo(json.dumps(job, indent=2) if as_json else job["id"])
        if watch_it:
            _end(follow(client, job["id"]))


@app.command(
    "list",
    epilog=examples(
        "interplay jobs list",
        "interplay jobs list --state running",
        "interplay jobs list --kind filter_text_images --limit 200 --json",
    ),
)
def list_(
    state: Annotated[str | None, typer.Option(help="Only in this state.", show_default=False)] = None,
    kind: Annotated[str | None, typer.Option(help="Only of this kind.", show_default=False)] = None,
    limit: Annotated[int, typer.Option(min=1, help="Most jobs to show.")] = 20,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
) -> None:
    """List jobs, newest first."""
    from rich.console import Console
    from rich.table import Column, Table
    from rich.text import Text

    filters = {name: value for name, value in (("state", state), ("kind", kind)) if value is not None}
    jobs: list[dict[str, Any]] = []
    token = ""
    with GatewayClient(url, api_key) as client:
        while len(jobs) < limit:
            query = {**filters, "page_size": str(min(200, limit - len(jobs))), "page_token": token}
            page = client.request("GET", "/v1/jobs", params=query).json()
            jobs += page["jobs"]
            token = page["next_page_token"]
            if not token:
                break
    if as_json:
        typer.echo(json.dumps(jobs, indent=2))
        return
    if not jobs:
        typer.echo("no jobs")
        return
    table = Table(
        Column("id", no_wrap=True),
        Column("kind", no_wrap=True),
        Column("state", no_wrap=True),
        Column("progress", no_wrap=True),
        Column("created", no_wrap=True),
        Column("note"),
        box=None,
    )
    for job in jobs:
        created = job["created_at"][5:16].replace("T", " ")
        style = _STATE_STYLES.get(job["state"], "")
        table.add_row(
            job["id"], job["kind"], Text(job["state"], style), progress_of(job), created, Text(note_of(job))
        )
    # The id is what the other commands want: rather a line that wraps than one that is cut off.
    Console(highlight=False, width=max(Console().width, _LEAST_WIDTH)).print(table)


@app.command(
    epilog=examples(
        "interplay jobs watch 0b1f7c0e5d9c4a6e8f3a2b1c0d9e8f7a",
        note="Exit code 0 when it succeeded, 1 otherwise. Ctrl-C stops watching, not the job.",
    )
)
def watch(job_id: JobId, url: Url = DEFAULT_URL, api_key: ApiKey = None) -> None:
    """Follow a job to its end, with progress, speed and time left."""
    with GatewayClient(url, api_key) as client:
        _end(follow(client, job_id))


@app.command(
    epilog=examples(
        "interplay jobs cancel 0b1f7c0e5d9c4a6e8f3a2b1c0d9e8f7a",
        note="A running job stops after the unit it is at. Cancelling again changes nothing.",
    )
)
def cancel(job_id: JobId, url: Url = DEFAULT_URL, api_key: ApiKey = None) -> None:
    """Stop a job."""
    with GatewayClient(url, api_key) as client:
        job = client.request("POST", f"/v1/jobs/{job_id}:cancel").json()
    typer.echo(job["state"])


@app.command(
    epilog=examples(
        "interplay jobs result 0b1f7c0e5d9c4a6e8f3a2b1c0d9e8f7a | numbers, and which files there are",
        "interplay jobs result 0b1f7c0e5d9c4a6e8f3a2b1c0d9e8f7a -o filtered/ | fetch the files",
    )
)
def result(
    job_id: JobId,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", file_okay=False, help="Download the files into this folder.", show_default="no"
        ),
    ] = None,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
) -> None:
    """Show what a job left, and download its files."""
    from rich.console import Console
    from rich.table import Table

    with GatewayClient(url, api_key) as client:
        found = client.request("GET", f"/v1/jobs/{job_id}/result").json()
        if output is not None:
            _download(client, job_id, found["files"], output)
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    console = Console(highlight=False)
    table = Table(box=None, show_header=False)
    for name, value in found["summary"].items():
        table.add_row(name.replace("_", " "), _shown(value))
    console.print(table)
    where = output if output is not None else found["output"]
    for file in found["files"]:
        console.print(f"{where}/{file['name']}  {file['bytes']:,} bytes", markup=False, soft_wrap=True)


def _parameters(pairs: list[str], file: Path | None) -> dict[str, Any]:
    params: Any = {}
    if file is not None:
        try:
            params = json.loads(file.read_text())
        except ValueError as error:
            raise typer.BadParameter(f"{file} is not JSON: {error}", param_hint="--params") from error
        if not isinstance(params, dict):
            raise typer.BadParameter(f"{file} must hold a JSON object", param_hint="--params")
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not all(name.split(".")):
            raise typer.BadParameter(f"{pair!r} must be NAME=VALUE", param_hint="--param")
        try:
            value = json.loads(text)
        except ValueError:
            value = text
        *path, last = name.split(".")
        inside = params
        for part in path:
            inside = inside.setdefault(part, {})
            if not isinstance(inside, dict):
                raise typer.BadParameter(f"{pair!r}: {part} is not an object", param_hint="--param")
        inside[last] = value
    return dict(params)


def _flat(value: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, inside in value.items():
        if isinstance(inside, dict):
            yield from _flat(inside, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", inside


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _end(job: dict[str, Any]) -> None:
    """Say how a job ended, with the exit code that says the same."""
    if job["state"] == "succeeded":
        typer.echo(f"succeeded: interplay jobs result {job['id']}", err=True)
        return
    note = note_of(job)
    typer.echo(f"{job['state']}{': ' + note if note and note != job['state'] else ''}", err=True)
    raise typer.Exit(EXIT_FAILED)


def _download(client: GatewayClient, job_id: str, files: list[dict[str, Any]], folder: Path) -> None:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    folder.mkdir(parents=True, exist_ok=True)
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        for file in files:
            name = Path(file["name"]).name  # whatever a server says, nothing is written outside the folder
            shown = progress.add_task(name, total=file["bytes"])
            partial = folder / f".{name}.part"
            with (
                client.stream("GET", f"/v1/jobs/{job_id}/result/{file['name']}") as response,
                partial.open("wb") as stream,
            ):
                for piece in response.iter_bytes():
                    stream.write(piece)
                    progress.advance(shown, len(piece))
            partial.replace(folder / name)
