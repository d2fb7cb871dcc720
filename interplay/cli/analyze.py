"""`interplay analyze`: pictures of what the embedding has learnt, made by jobs of a running gateway."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from interplay.cli.app import EXIT_FAILED, examples, new_app
from interplay.cli.gateway_client import DEFAULT_URL, ApiKey, GatewayClient, Url
from interplay.cli.job_progress import follow, note_of

app = new_app(
    no_args_is_help=True,
    help="Look inside the embedding: pictures of what it has learnt (needs `interplay up`).",
)

_PATHS = (
    "Paths of data sets are those of the worker's machine; relative ones start in its first data set root."
)

Source = Annotated[
    str,
    typer.Argument(
        help="Folder of images, JSONL, COCO captions JSON, Parquet or WebDataset, within the data set roots.",
        show_default=False,
    ),
]
Format = Annotated[
    Literal["auto", "folder", "jsonl", "coco", "parquet", "webdataset"],
    typer.Option("--format", help="Form of the source; `auto` goes by its name."),
]
Limit = Annotated[
    int | None,
    typer.Option(help="Most images; of more, so many are drawn by the seed.", show_default="5000"),
]
Seed = Annotated[int, typer.Option(help="The same seed, the same picture.")]
Folder = Annotated[
    str | None,
    typer.Option(
        help="Where the job keeps its files, within the data set roots.",
        show_default="analysis/ID of the job",
    ),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Write into the folder of an earlier job.")]
ReportFile = Annotated[
    Path | None,
    typer.Option(help="Write the figures, as JSON, to this file, too.", dir_okay=False, show_default="no"),
]


_OUT = typer.Option("--out", "-o", help="Write the picture to this file.", dir_okay=False)


@app.command(
    "map",
    epilog=examples(
        'interplay analyze map photos/list.jsonl --words "car,beach,dog,snow" --out map.jpg',
        'interplay analyze map photos --words "red bus,kitchen" --canvas 4000 --report map.json',
        note=_PATHS,
    ),
)
def draw_map(
    source: Source,
    words: Annotated[
        str,
        typer.Option(
            help="Words or phrases to show among the images, parted by commas.", show_default="none"
        ),
    ] = "",
    out: Annotated[Path, _OUT] = Path("map.jpg"),
    canvas: Annotated[int, typer.Option(help="Width and height of the map, in pixels.")] = 3000,
    thumbnail: Annotated[int, typer.Option(help="Side of an image on it, in pixels.")] = 75,
    perplexity: Annotated[float, typer.Option(help="t-SNE: neighbours of an image, about.")] = 30.0,
    form: Format = "auto",
    limit: Limit = None,
    seed: Seed = 0,
    folder: Folder = None,
    overwrite: Overwrite = False,
    report: ReportFile = None,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
) -> None:
    """A map of images and words (t-SNE) on which none covers another (thesis, Fig. 4.12)."""
    params = _set_params(source, form, limit, seed, folder, overwrite)
    params |= {
        "words": _parts(words),
        "canvas_px": canvas,
        "thumbnail_px": thumbnail,
        "perplexity": perplexity,
    }
    summary = _run("map_embedding", params, "map.jpg", out, report, url, api_key)
    missing = summary["words_omitted"]
    print(f"{out}: {summary['shown']} of {summary['images']} images, {summary['words_shown']} words")
    if missing:
        print(f"no room for the words {', '.join(missing)}: try a larger --canvas or a smaller --thumbnail")
    _tell_failed(summary)


@app.command(
    epilog=examples(
        "interplay analyze distances photos/list.jsonl --out plot.png",
        "interplay analyze distances captions_val2017.json --pairs 50000 --report plot.json",
        note=_PATHS,
    )
)
def distances(
    source: Source,
    out: Annotated[Path, _OUT] = Path("distances.png"),
    pairs: Annotated[int, typer.Option(help="Random pairs of images.")] = 20_000,
    form: Format = "auto",
    limit: Limit = None,
    seed: Seed = 0,
    folder: Folder = None,
    overwrite: Overwrite = False,
    report: ReportFile = None,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
) -> None:
    """Distance of images against distance of their captions and tags, with R² (thesis, Fig. 4.13)."""
    params = _set_params(source, form, limit, seed, folder, overwrite) | {"pairs": pairs}
    summary = _run("compare_distances", params, "distances.png", out, report, url, api_key)
    print(f"{out}: {summary['pairs']:,} pairs of {summary['images']:,} images, R² = {summary['r2']:.3f}")
    _tell_failed(summary)


@app.command(
    epilog=examples(
        "interplay analyze units photos/list.jsonl --top 5 --out units.jpg | five units, each of its kind",
        "interplay analyze units photos --units 3,17 --threshold 0.6 | these units",
        note=_PATHS,
    )
)
def units(
    source: Source,
    out: Annotated[Path, _OUT] = Path("units.jpg"),
    which: Annotated[
        str | None,
        typer.Option(
            "--units",
            help="Units to show, parted by commas.",
            show_default="those whose images are most alike",
        ),
    ] = None,
    count: Annotated[int, typer.Option(help="How many units, without --units.")] = 5,
    top: Annotated[int, typer.Option(help="Images of each unit.")] = 5,
    threshold: Annotated[
        float, typer.Option(help="The region is where the map is above this part of its maximum.")
    ] = 0.5,
    form: Format = "auto",
    limit: Limit = None,
    seed: Seed = 0,
    folder: Folder = None,
    overwrite: Overwrite = False,
    report: ReportFile = None,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
) -> None:
    """The images and regions that fire units of the image network most (thesis, Fig. 4.11)."""
    params = _set_params(source, form, limit, seed, folder, overwrite)
    params |= {"count": count, "top": top, "threshold": threshold}
    if which is not None:
        try:
            params["units"] = [int(part) for part in _parts(which)]
        except ValueError as error:
            raise typer.BadParameter(f"{which!r} are no numbers", param_hint="--units") from error
    summary = _run("show_units", params, "units.jpg", out, report, url, api_key)
    print(f"{out}: units {', '.join(map(str, summary['units']))}, from {summary['images']:,} images")
    _tell_failed(summary)


@app.command(
    epilog=examples(
        "interplay analyze dream photo.jpg --out dream.jpg | what the fifth layer sees",
        "interplay analyze dream photo.jpg --word dog --out dog.jpg | nearer to a word",
        "interplay analyze dream photo.jpg --unit 17 --side 512",
        note="The photo's path is that of the worker's machine; a relative one starts in its first data set "
        "root. The folder `steps` of the job holds the picture as it grew.",
    )
)
def dream(
    image: Annotated[
        str, typer.Argument(help="Photo to begin with, within the data set roots.", show_default=False)
    ],
    out: Annotated[Path, _OUT] = Path("dream.jpg"),
    layer: Annotated[
        int | None, typer.Option(help="Amplify this layer, 1 to 8.", show_default="5, without another aim")
    ] = None,
    unit: Annotated[
        int | None, typer.Option(help="Amplify this unit of the last layer.", show_default=False)
    ] = None,
    word: Annotated[
        str | None, typer.Option(help="Bring the photo near these words.", show_default=False)
    ] = None,
    side: Annotated[int, typer.Option(help="Longer side of the picture, in pixels.")] = 640,
    octaves: Annotated[int, typer.Option(help="Sizes worked on, from small to large.")] = 4,
    octave_scale: Annotated[float, typer.Option(help="Of a size to the one before.")] = 1.4,
    steps: Annotated[int, typer.Option(help="Steps at each size.")] = 10,
    rate: Annotated[float, typer.Option(help="Mean change of a pixel in a step, of 255.")] = 1.5,
    jitter: Annotated[int, typer.Option(help="Largest shift before a step, in pixels.")] = 32,
    seed: Seed = 0,
    folder: Folder = None,
    overwrite: Overwrite = False,
    report: ReportFile = None,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
) -> None:
    """A photo changed so that a layer, a unit or a word is seen in it: DeepDream (thesis 4.4.6)."""
    params: dict[str, Any] = {
        "image": image,
        "side_px": side,
        "octaves": octaves,
        "octave_scale": octave_scale,
    }
    params |= {"steps": steps, "rate": rate, "jitter": jitter, "seed": seed, "overwrite": overwrite}
    aims = (("layer", layer), ("unit", unit), ("word", word), ("output", folder))
    params |= {name: value for name, value in aims if value is not None}
    summary = _run("deep_dream", params, "dream.jpg", out, report, url, api_key)
    print(f"{out}: {summary['width']}×{summary['height']}, {summary['steps']} steps")


def _set_params(
    source: str, form: str, limit: int | None, seed: int, folder: str | None, overwrite: bool
) -> dict[str, Any]:
    params: dict[str, Any] = {"input": source, "format": form, "seed": seed, "overwrite": overwrite}
    return params | {k: v for k, v in (("limit", limit), ("output", folder)) if v is not None}


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _run(
    kind: str,
    params: dict[str, Any],
    picture: str,
    out: Path,
    report: Path | None,
    url: str,
    api_key: str | None,
) -> dict[str, Any]:
    """Run a job to its end, fetch its picture and its report, and return its main figures."""
    for file in (out, *([report] if report else [])):
        if not file.absolute().parent.is_dir():
            raise typer.BadParameter(f"there is no folder {file.parent}", param_hint=str(file))
    with GatewayClient(url, api_key) as client:
        job = client.request("POST", "/v1/jobs", json={"kind": kind, "params": params}).json()
        ended = follow(client, job["id"])
        if ended["state"] != "succeeded":
            typer.echo(f"{ended['state']}: {note_of(ended)}", err=True)
            raise typer.Exit(EXIT_FAILED)
        result = client.request("GET", f"/v1/jobs/{job['id']}/result").json()
        for name, target in ((picture, out), ("report.json", report)):
            if target is not None:
                target.write_bytes(client.request("GET", f"/v1/jobs/{job['id']}/result/{name}").content)
    return dict(result["summary"])


def _tell_failed(summary: dict[str, Any]) -> None:
    if summary["failed"]:
        print(f"{summary['failed']} images could not be used: failed.jsonl in the job's folder says why")
