"""`interplay text`: where the text of photos is and what it says, asked of a running gateway."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from interplay.cli.app import examples, new_app
from interplay.cli.gateway_client import DEFAULT_URL, ApiKey, GatewayClient, Url
from interplay.cli.photos import Photos, for_each, post_photo

if TYPE_CHECKING:
    from rich.console import Console

app = new_app(
    no_args_is_help=True, help="Where the text of photos is and what it says (needs `interplay up`)."
)

Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        help="Write a picture of the result here: a PNG file, or a folder for several photos.",
        show_default="none",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one line of JSON a photo instead of a table.")]
PixelThreshold = Annotated[
    float | None,
    typer.Option(
        help="Probability from which a pixel counts as text, in (0, 1).", show_default="the model's"
    ),
]
ScoreThreshold = Annotated[
    float | None,
    typer.Option(help="Leave out regions below this score, in [0, 1].", show_default="the model's"),
]
MaxRegions = Annotated[int | None, typer.Option(help="Most regions, best first.", show_default="the model's")]


@app.command(
    epilog=examples(
        "interplay text segment photo.jpg -o heatmap.png",
        "interplay text segment *.jpg -o heatmaps/ | one PNG a photo",
        note="Without `-o` the heatmap of `photo.jpg` goes to `photo.heatmap.png` in the current folder.",
    )
)
def segment(photos: Photos, output: Output = None, url: Url = DEFAULT_URL, api_key: ApiKey = None) -> None:
    """Write the text probability of every pixel as a grey picture (white is text)."""
    from rich.console import Console

    console = Console()

    def ask(client: GatewayClient, photo: Path) -> None:
        target = _target(output, photo, photos, "heatmap") or Path(f"{photo.stem}.heatmap.png")
        answer = post_photo(client, "/v1/text:segment", photo, {}, accept="image/png")
        target.write_bytes(answer.content)
        console.print(f"{photo}: {target}", soft_wrap=True, markup=False, highlight=False)

    for_each(photos, url, api_key, ask)


@app.command(
    epilog=examples(
        "interplay text detect photo.jpg",
        "interplay text detect photo.jpg -o regions.png | the photo with the regions drawn",
        "interplay text detect *.jpg --score-threshold 0.7 --json > regions.jsonl",
    )
)
def detect(
    photos: Photos,
    output: Output = None,
    as_json: AsJson = False,
    pixel_threshold: PixelThreshold = None,
    score_threshold: ScoreThreshold = None,
    max_regions: MaxRegions = None,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
) -> None:
    """Find the words: rotated rectangles with scores."""
    options = {
        "pixel_threshold": pixel_threshold,
        "score_threshold": score_threshold,
        "max_regions": max_regions,
    }
    _show("detect", photos, options, output, as_json, url, api_key, _print_regions)


@app.command(
    epilog=examples(
        "interplay text read photo.jpg",
        "interplay text read photo.jpg -o words.png | the photo with the words drawn",
        "interplay text read *.jpg --json | jq -r .text | the text alone",
    )
)
def read(
    photos: Photos,
    output: Output = None,
    as_json: AsJson = False,
    min_confidence: Annotated[
        float | None,
        typer.Option(
            help="Leave out words read with less confidence, in [0, 1].", show_default="the model's"
        ),
    ] = None,
    pixel_threshold: PixelThreshold = None,
    score_threshold: ScoreThreshold = None,
    max_regions: MaxRegions = None,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
) -> None:
    """Read the words, in reading order."""
    options = {
        "min_confidence": min_confidence,
        "pixel_threshold": pixel_threshold,
        "score_threshold": score_threshold,
        "max_regions": max_regions,
    }
    _show("read", photos, options, output, as_json, url, api_key, _print_words)


@app.command(
    epilog=examples(
        "interplay text presence *.jpg",
        "interplay text presence *.jpg --json | jq 'select(.text_area_ratio > 0.05) | .file' | with text",
    )
)
def presence(
    photos: Photos,
    as_json: AsJson = False,
    pixel_threshold: PixelThreshold = None,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
) -> None:
    """Say how much text each photo holds."""
    options = {"pixel_threshold": pixel_threshold}
    _show("presence", photos, options, None, as_json, url, api_key, _print_presence)


def _show(
    operation: str,
    photos: list[Path],
    options: dict[str, Any],
    output: Path | None,
    as_json: bool,
    url: str,
    api_key: str | None,
    print_answer: Callable[[Console, Path, dict[str, Any]], None],
) -> None:
    from rich.console import Console

    console = Console(highlight=False)
    path = f"/v1/text:{operation}"

    def ask(client: GatewayClient, photo: Path) -> None:
        answer = post_photo(client, path, photo, options).json()
        if as_json:
            typer.echo(json.dumps({"file": str(photo), **answer}, ensure_ascii=False))
        else:
            print_answer(console, photo, answer)
        if target := _target(output, photo, photos, operation):
            target.write_bytes(post_photo(client, path, photo, options, accept="image/png").content)

    for_each(photos, url, api_key, ask)


def _target(output: Path | None, photo: Path, photos: list[Path], suffix: str) -> Path | None:
    """Where the picture for a photo goes: the file given, or a file in the folder given."""
    if output is None:
        return None
    if len(photos) == 1 and not output.is_dir():
        return output
    output.mkdir(parents=True, exist_ok=True)
    return output / f"{photo.stem}.{suffix}.png"


def _print_regions(console: Console, photo: Path, answer: dict[str, Any]) -> None:
    from rich.table import Table

    table = Table("score", "corners (x,y), clockwise", box=None)
    for region in answer["regions"]:
        table.add_row(f"{region['score']:.2f}", _corners(region["polygon"]))
    _heading(console, photo, f"{len(answer['regions'])} regions", answer)
    console.print(table)


def _print_words(console: Console, photo: Path, answer: dict[str, Any]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table("word", "confidence", "corners (x,y), clockwise", box=None)
    for word in answer["words"]:
        table.add_row(Text(word["text"]), f"{word['confidence']:.2f}", _corners(word["polygon"]))
    _heading(console, photo, f"{len(answer['words'])} words", answer)
    console.print(table)


def _print_presence(console: Console, photo: Path, answer: dict[str, Any]) -> None:
    console.print(
        f"{photo}: mean probability {answer['mean_probability']:.4f}, "
        f"maximum {answer['max_probability']:.4f}, text on {answer['text_area_ratio']:.2%} of the area",
        soft_wrap=True,
        markup=False,
    )


def _heading(console: Console, photo: Path, what: str, answer: dict[str, Any]) -> None:
    size = f"{answer['width']}×{answer['height']}"
    console.print(f"{photo} ({size}): {what}", soft_wrap=True, markup=False, style="bold")


def _corners(polygon: list[list[float]]) -> str:
    return " ".join(f"{x:.0f},{y:.0f}" for x, y in polygon)
