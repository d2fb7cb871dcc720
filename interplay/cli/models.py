"""`interplay models`: the model store."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from interplay.cli.app import examples, new_app

if TYPE_CHECKING:
    from interplay.store import Manifest

app = new_app(no_args_is_help=True, help="The model store: what it holds, and whether it is whole.")

Store = Annotated[
    Path | None,
    typer.Option(
        "--store",
        envvar="INTERPLAY_MODEL_STORE",
        help="Folder of the store.",
        show_default="model_store of this project",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Name = Annotated[str, typer.Argument(help="Model name, e.g. textfcn-compact.")]
Version = Annotated[int | None, typer.Option("--version", help="Version.", show_default="the newest")]


@app.command(
    "list",
    epilog=examples("interplay models list", "interplay models list --json"),
)
def list_(store: Store = None, as_json: AsJson = False) -> None:
    """List every version in the store. Weights are not read: see `verify`."""
    from rich.console import Console
    from rich.table import Table

    from interplay.store import list_models

    root = _root(store)
    manifests = list_models(root)
    if as_json:
        typer.echo(json.dumps([manifest.model_dump(mode="json") for manifest in manifests], indent=2))
        return
    if not manifests:
        typer.echo(f"no models in {root}")
        return
    table = Table("name", "version", "capability", "parameters", "size", "sha256", box=None)
    for m in manifests:
        row = (m.name, str(m.version), m.capability, f"{m.parameters:,}", _size(m), m.weights_sha256[:12])
        table.add_row(*row)
    Console().print(table)


@app.command(
    epilog=examples(
        "interplay models show textfcn-compact", "interplay models show textfcn-compact --version 1 --json"
    )
)
def show(name: Name, version: Version = None, store: Store = None, as_json: AsJson = False) -> None:
    """Show all that a manifest says: training, data, metrics, thresholds."""
    from rich.console import Console
    from rich.pretty import Pretty
    from rich.table import Table

    from interplay.store import resolve

    manifest = resolve(_root(store), name, version, verify=False).manifest
    if as_json:
        typer.echo(manifest.model_dump_json(indent=2))
        return
    table = Table("field", "value", box=None, show_header=False)
    for field, value in manifest.model_dump(mode="json").items():
        table.add_row(field.replace("_", " "), value if isinstance(value, str) else Pretty(value))
    Console().print(table)


@app.command(
    epilog=examples(
        "interplay models verify | every version",
        "interplay models verify textfcn-compact --version 1",
        note="Exit code 1 if any version is damaged.",
    )
)
def verify(
    name: Annotated[str | None, typer.Argument(help="Model name.", show_default="all models")] = None,
    version: Version = None,
    store: Store = None,
    as_json: AsJson = False,
) -> None:
    """Read the weights and compare them with the digests in the manifests."""
    from rich.console import Console

    from interplay.errors import InternalError, NotFound
    from interplay.store import list_models, resolve

    root = _root(store)
    if name:
        chosen = [(name, resolve(root, name, version, verify=False).manifest.version)]
    else:
        chosen = [(m.name, m.version) for m in list_models(root)]
        if not chosen:
            raise NotFound(f"no models in {root}")
    console = Console(stderr=as_json)
    results = []
    for model, number in chosen:
        try:
            with console.status(f"reading {model} {number}"):
                resolve(root, model, number)
            problem = None
        except InternalError as error:
            problem = error.message
        results.append({"name": model, "version": number, "ok": problem is None, "problem": problem})
        if not as_json:
            verdict = "[green]ok [/]" if problem is None else "[red]BAD[/]"
            console.print(f"{verdict}  {model} {number}  {problem or ''}", soft_wrap=True)
    if as_json:
        typer.echo(json.dumps(results, indent=2))
    if not all(result["ok"] for result in results):
        raise typer.Exit(1)


@app.command(
    epilog=examples(
        "interplay models package textfcn-compact | textfcn-compact.mar in this folder",
        "interplay models package --all --out archives",
        note="Needs the extra: `pip install 'interplay[torchserve]'`. An archive holds weights and "
        "manifests, no model code: the TorchServe that serves it must have Interplay installed.",
    )
)
def package(
    name: Annotated[str | None, typer.Argument(help="Model name.", show_default=False)] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="The newest version of every model that can be served.")
    ] = False,
    out: Annotated[Path, typer.Option("--out", help="Folder for the archives.")] = Path("."),
    version: Version = None,
    store: Store = None,
) -> None:
    """Write models as archives (`.mar`) for TorchServe, by its own `torch-model-archiver`."""
    from rich.console import Console

    from interplay.launcher.torchserve.archive import package_model, servable

    if (name is None) != everything or (everything and version is not None):
        raise typer.BadParameter("name one model, with or without --version, or give --all")
    root = _root(store)
    names = [name] if name else [manifest.name for manifest in servable(root)]
    console = Console()
    for model in names:
        with console.status(f"packing {model}"):
            archive = package_model(root, model, out, version)
        console.print(f"{archive}  {archive.stat().st_size / 1e6:.1f} MB", soft_wrap=True, highlight=False)


def _root(store: Path | None) -> Path:
    from interplay.errors import NotFound
    from interplay.settings import REPOSITORY_ROOT

    root = store or REPOSITORY_ROOT / "model_store"
    if not root.is_dir():
        raise NotFound(f"there is no model store at {root}; --store names another folder")
    return root


def _size(manifest: Manifest) -> str:
    return f"{manifest.weights_bytes / 1e6:.1f} MB"
