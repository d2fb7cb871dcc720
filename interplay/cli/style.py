"""`interplay style`: text with other looks, asked of a running gateway.

A command that lives in another module is a function there, registered here with ``app.command``.
"""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Annotated, Literal

import typer

from interplay.cli.app import examples, new_app
from interplay.cli.gateway_client import DEFAULT_URL, ApiKey, GatewayClient, Url
from interplay.cli.photos import Photos, for_each, post_photo
from interplay.cli.style_learn import learn

app = new_app(
    no_args_is_help=True,
    help="Text of photos with other looks, and words drawn in them (all but `learn` need `interplay up`).",
)

app.command(
    epilog=examples(
        "interplay style learn --image crop.png --name corner-shop",
        "interplay style learn --image crop.png --name corner-shop --photos my-photos/ --preview look.png",
        note="Start `interplay up` again to have the style served.",
    )
)(learn)

# Suffix of a picture's file to its kind, as in image/<kind>.
_KINDS = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp"}

_MIX_HELP = "`NAME` or `NAME:WEIGHT`, as `interplay style list` names them; several are mixed."


@app.command(
    "list",
    epilog=examples(
        "interplay style list",
        "interplay style list --sheet styles.png | a picture with a word in each style",
        "interplay style list --json | jq -r .[].name | the names alone",
    ),
)
def list_(
    sheet: Annotated[
        Path | None,
        typer.Option(help="Write a contact sheet of all styles to this PNG file.", show_default="none"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
) -> None:
    """List the styles; those of one model can be mixed."""
    from rich.console import Console
    from rich.table import Table

    if sheet is not None and _kind(sheet, "--sheet") != "png":
        raise typer.BadParameter(f"{sheet} must end in .png", param_hint="--sheet")
    with GatewayClient(url, api_key) as client:
        styles = client.request("GET", "/v1/styles", params={"thumbnails": "false"}).json()["styles"]
        if sheet is not None:
            answer = client.request("GET", "/v1/styles", headers={"Accept": "image/png"})
            sheet.write_bytes(answer.content)
    if as_json:
        typer.echo(json.dumps(styles, indent=2))
        return
    table = Table("name", "domain", "model", box=None)
    for style in styles:
        table.add_row(style["name"], style["domain"], f"{style['model']['name']} {style['model']['version']}")
    Console(highlight=False).print(table)


@app.command(
    epilog=examples(
        "interplay style transfer photo.jpg --style warm-neon -o neon.jpg",
        "interplay style transfer photo.jpg --style warm-neon:0.7 --style red-serif:0.3 | a mix",
        "interplay style transfer photo.jpg --style warm-neon --style red-serif --each -o both.png | a sheet",
        "interplay style transfer *.jpg --style warm-neon --mode whole -o styled/ | every pixel",
        "interplay style transfer photo.jpg --style red-serif --mode polygons "
        '--polygon "10,10 90,10 90,40 10,40"',
        note="In a folder the result of `photo.jpg` is `photo.styled.png`; with `--each` there is a file for "
        "each style, such as `photo.warm-neon.png`.",
    )
)
def transfer(
    photos: Photos,
    style: Annotated[list[str], typer.Option(metavar="NAME[:WEIGHT]", help=_MIX_HELP, show_default=False)],
    each: Annotated[
        bool, typer.Option("--each", help="Make a result of each `--style`; a mix is then `a:0.7,b:0.3`.")
    ] = False,
    mode: Annotated[
        Literal["whole", "selective", "end_to_end", "polygons"],
        typer.Option(
            help="What is restyled: everything; text that the detector finds; text that the restyling "
            "network finds by itself; what lies in `--polygon`."
        ),
    ] = "selective",
    heat_floor: Annotated[
        float | None,
        typer.Option(
            help="Mode selective: text probability below this counts as none, in [0, 1).",
            show_default="the model's",
        ),
    ] = None,
    polygon: Annotated[
        list[str] | None,
        typer.Option(
            metavar="POINTS",
            help='Mode polygons: three or more points, `"x,y x,y x,y"`. May be given several times.',
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            help="Folder for PNG files, or a picture file (.png, .jpg or .webp); with `--each` a file gets a "
            "contact sheet.",
            show_default="the current folder",
        ),
    ] = Path(),
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
) -> None:
    """Give the text of photos another look, or the whole photos."""
    from rich.console import Console

    console = Console(highlight=False)
    options = {
        "style": None if each else ",".join(style),
        "styles": json.dumps(style) if each else None,
        "mode": mode,
        "heat_floor": heat_floor,
        "polygons": json.dumps([_points(text, "--polygon") for text in polygon]) if polygon else None,
    }
    in_folder = output.is_dir() or len(photos) > 1 or not output.suffix
    kind = "png" if in_folder else _kind(output, "--output")

    def save(photo: Path, file: Path, content: bytes) -> None:
        file.write_bytes(content)
        console.print(f"{photo}: {file}", soft_wrap=True, markup=False)

    def ask(client: GatewayClient, photo: Path) -> None:
        if in_folder:
            output.mkdir(parents=True, exist_ok=True)
        if in_folder and each:
            answer = post_photo(client, "/v1/style:transfer", photo, options).json()
            for result in answer["images"]:
                file = output / f"{photo.stem}.{_file_name(result['style'])}.png"
                save(photo, file, base64.b64decode(result["content"]))
        else:
            file = output / f"{photo.stem}.styled.png" if in_folder else output
            answer = post_photo(client, "/v1/style:transfer", photo, options, accept=f"image/{kind}")
            save(photo, file, answer.content)

    for_each(photos, url, api_key, ask)


@app.command(
    epilog=examples(
        'interplay style render "OPEN" --style warm-neon -o open.png | with transparency around it',
        'interplay style render "OPEN" --style warm-neon:0.5 --style red-serif:0.5 --line-height 128',
        'interplay style render "OPEN" --photo photo.jpg -o open.jpg | instead of the largest word',
        'interplay style render "OPEN" --photo photo.jpg --region "10,10 90,10 90,40 10,40" -o open.jpg',
        note="With `--photo`, `--style` may be left out: the new words then look like those they replace.",
    )
)
def render(
    text: Annotated[str, typer.Argument(help="The words; a line break begins a new line.")],
    style: Annotated[
        list[str] | None, typer.Option(metavar="NAME[:WEIGHT]", help=_MIX_HELP, show_default=False)
    ] = None,
    line_height: Annotated[
        int | None,
        typer.Option(help="Without `--photo`: height of a line in pixels, 16 to 256.", show_default="64"),
    ] = None,
    photo: Annotated[
        Path | None,
        typer.Option(
            help="Put the words into this photo.",
            exists=True,
            dir_okay=False,
            readable=True,
            show_default="none",
        ),
    ] = None,
    region: Annotated[
        str | None,
        typer.Option(
            metavar="POINTS",
            help='Where in the photo: four corners, `"x,y x,y x,y x,y"`, clockwise from the one at which '
            "reading starts.",
            show_default="its largest word",
        ),
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Picture file: .png, .jpg or .webp.")] = Path(
        "words.png"
    ),
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
) -> None:
    """Draw words in a style, alone or into a photo in place of those that are there."""
    options = {
        "text": text,
        "style": ",".join(style) if style else None,
        "line_height": line_height,
        "region": json.dumps(_points(region, "--region")) if region is not None else None,
    }
    kind = _kind(output, "--output")
    with GatewayClient(url, api_key) as client:
        answer = post_photo(client, "/v1/style:render", photo, options, accept=f"image/{kind}")
    output.write_bytes(answer.content)
    typer.echo(output)


def _kind(file: Path, option: str) -> str:
    """Kind of picture by a file's suffix; refused before work is done that could not be written."""
    kind = _KINDS.get(file.suffix.lower())
    if kind is None:
        raise typer.BadParameter(f"{file} must end in {', '.join(_KINDS)}", param_hint=option)
    if not file.parent.is_dir():
        raise typer.BadParameter(f"there is no folder {file.parent}", param_hint=option)
    return kind


def _points(text: str, option: str) -> list[list[float]]:
    try:
        points = [[float(number) for number in pair.split(",")] for pair in text.split()]
    except ValueError:
        points = []
    if not points or any(len(point) != 2 for point in points):
        raise typer.BadParameter(f'{text!r} must be points such as "10,10 90,10 90,40"', param_hint=option)
    return points


def _file_name(style: str) -> str:
    """A mix as part of a file's name."""
    return re.sub(r"[^\w.-]+", "_", style)
