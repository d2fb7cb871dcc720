"""`interplay hate`: whether posts are hate speech and what says so, asked of a running gateway."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from interplay.cli.app import EXIT_FAILED, examples, new_app
from interplay.cli.gateway_client import DEFAULT_URL, ApiKey, GatewayClient, Url
from interplay.errors import InterplayError, InvalidInput, InvalidParameter, error_from_reason

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

app = new_app(
    no_args_is_help=True, help="Whether posts are hate speech, and what says so (needs `interplay up`)."
)

_PATH = "/v1/posts:classify"
_AT_ONCE = 32
_BAR = 16
_MOST_WORDS = 8
_INPUTS = {"text": "text", "image_text": "words in image", "image": "image"}
_FOR, _AGAINST = "dark_orange", "deep_sky_blue1"


@app.callback()
def hate() -> None:
    """Whether posts are hate speech, and what says so (needs `interplay up`)."""


@app.command(
    epilog=examples(
        'interplay hate classify --text "Have a nice day"',
        'interplay hate classify --text "Look at this" --image meme.jpg --words --region why.png',
        'interplay hate classify --image meme.jpg --image-text "what it says" | the image need not be read',
        "interplay hate classify --file posts.jsonl --json > scored.jsonl | a post in each line",
        note="Lines of a file have the fields `text`, `image` (a path, relative to the file), `image_text` "
        "and `id`. For large sets there is the job `classify_dataset`. Bars to the right speak for hate, to "
        "the left against it; with the baseline they add up to the score.",
    )
)
def classify(
    text: Annotated[str, typer.Option(help="What the author wrote.", show_default="none")] = "",
    image: Annotated[
        Path | None,
        typer.Option(help="The post's image.", exists=True, dir_okay=False, show_default="none"),
    ] = None,
    image_text: Annotated[
        str | None, typer.Option(help="The words in the image.", show_default="they are read")
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(help="JSONL file of posts.", exists=True, dir_okay=False, show_default="none"),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(help="Score from which a post is labelled hate, in [0, 1].", show_default="the model's"),
    ] = None,
    words: Annotated[bool, typer.Option("--words", help="Show what each word did.")] = False,
    region: Annotated[
        Path | None,
        typer.Option(help="Write the image with what it did laid over it to this PNG.", dir_okay=False),
    ] = None,
    read: Annotated[bool, typer.Option(help="Have the image read if --image-text is not given.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON a post.")] = False,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
) -> None:
    """Classify a post, or those of a file."""
    from rich.console import Console

    console = Console(highlight=False)
    if file is not None:
        if text or image or image_text is not None or region:
            raise typer.BadParameter("--file goes without --text, --image, --image-text and --region")
        _classify_file(console, file, threshold, words, read, as_json, url, api_key)
        return
    if not text and image is None and image_text is None:
        raise typer.BadParameter("give --text, --image or --file")
    post = _post(text, image, image_text, words=words, read=read)
    if region is not None:
        if image is None:
            raise typer.BadParameter("the region is a part of the image: give --image", param_hint="--region")
        post["region"] = True
    with GatewayClient(url, api_key) as client:
        body = _ask(client, [post], threshold)
    answer = _answer(body["results"][0])
    if region is not None:
        region.write_bytes(base64.b64decode(answer["region"].pop("overlay")))
    if as_json:
        typer.echo(json.dumps({**answer, "threshold": body["threshold"]}, ensure_ascii=False))
        return
    _print(console, answer, body["threshold"], {"text": text, "image_text": answer["image_text"]["text"]})
    if region is not None:
        console.print(f"region: {region}", soft_wrap=True, markup=False)


def _post(
    text: str, image: Path | None, image_text: str | None, *, words: bool, read: bool
) -> dict[str, Any]:
    text.encode()  # half of a surrogate pair is no text
    post: dict[str, Any] = {"text": text, "words": words, "read_image": read}
    if image_text is not None:
        post["image_text"] = image_text
    if image is not None:
        post["image"] = {"content": base64.b64encode(image.read_bytes()).decode("ascii")}
    return post


def _ask(client: GatewayClient, posts: list[dict[str, Any]], threshold: float | None) -> dict[str, Any]:
    body = {"posts": posts, **({} if threshold is None else {"threshold": threshold})}
    answer: dict[str, Any] = client.request("POST", _PATH, json=body).json()
    return answer


def _ask_patiently(
    client: GatewayClient, posts: list[dict[str, Any]], threshold: float | None
) -> dict[str, Any]:
    """As ``_ask``; what is wrong with the request is the error of each of its posts."""
    if not posts:
        return {"results": []}
    try:
        return _ask(client, posts, threshold)
    except InvalidInput as error:
        result = {"answer": None, "error": {"reason": error.row.reason, "message": error.message}}
        return {"results": [result] * len(posts)}


def _answer(result: dict[str, Any]) -> dict[str, Any]:
    """A post's answer.

    Raises:
        InterplayError: The post's own.
    """
    if error := result["error"]:
        raise error_from_reason(error["reason"], error["message"])
    answer: dict[str, Any] = result["answer"]
    return answer


def _classify_file(
    console: Console,
    file: Path,
    threshold: float | None,
    words: bool,
    read: bool,
    as_json: bool,
    url: str,
    api_key: str | None,
) -> None:
    """Posts of a JSONL file, some at a time; one that is wrong is reported, and the others go on."""
    failures = 0
    with GatewayClient(url, api_key) as client:
        for names, posts in _portions(file, words, read):
            sound = [post for post in posts if isinstance(post, dict)]
            body = _ask_patiently(client, sound, threshold)
            results = iter(body["results"])
            for name, post in zip(names, posts, strict=True):
                try:
                    if isinstance(post, InterplayError):
                        raise post
                    answer = _answer(next(results))
                except InterplayError as error:
                    failures += 1
                    if as_json:
                        failed = {"reason": error.row.reason, "message": error.message}
                        typer.echo(json.dumps({"id": name, "error": failed}, ensure_ascii=False))
                    typer.echo(f"error: {name}: {error.message}", err=True)
                    continue
                if as_json:
                    line = {"id": name, **answer, "threshold": body["threshold"]}
                    typer.echo(json.dumps(line, ensure_ascii=False))
                else:
                    label = answer["label"].replace("_", " ")
                    line_text = f"{answer['probability']:.3f}  {label:<8}  {name}"
                    console.print(line_text, style=_style(answer), soft_wrap=True, markup=False)
                    if words:
                        _print_words(console, answer, {"text": post["text"]})
    if failures:
        raise typer.Exit(EXIT_FAILED)


def _portions(file: Path, words: bool, read: bool) -> Iterator[tuple[list[str], list[Any]]]:
    """Names and posts of the lines, some at a time; errors in the place of those that are wrong."""
    names: list[str] = []
    posts: list[Any] = []
    with file.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            name = f"line {number}"
            try:
                fields = json.loads(line)
                name = str(fields.get("id", name))
                picture = fields.get("image")
                path = file.parent / picture if picture else None
                posts.append(
                    _post(fields.get("text") or "", path, fields.get("image_text"), words=words, read=read)
                )
            except (ValueError, AttributeError, TypeError):
                posts.append(InvalidParameter("is not a post as a JSON object"))
            except OSError as error:
                posts.append(InvalidParameter(f"the image cannot be read: {error.strerror}"))
            names.append(name)
            # Images go one by one: some of them would make too large a body.
            if len(posts) == _AT_ONCE or (isinstance(posts[-1], dict) and "image" in posts[-1]):
                yield names, posts
                names, posts = [], []
    if posts:
        yield names, posts


def _print(console: Console, answer: dict[str, Any], threshold: float, texts: dict[str, str]) -> None:
    from rich.table import Table

    low, high = answer["interval"]
    label = answer["label"].replace("_", " ")
    console.print(
        f"{answer['probability']:.3f} {label} (threshold {threshold:.3g}; interval {low:.3f} to {high:.3f})",
        style=f"bold {_style(answer)}",
    )
    table = Table("", "", "contribution", "alone", "without", box=None)
    table.add_row("baseline", "", f"{answer['baseline']:.3f}", "", "")
    for effect in answer["inputs"]:
        table.add_row(
            _INPUTS[effect["input"]],
            _bar(effect["contribution"]),
            f"{effect['contribution']:+.3f}",
            f"{effect['alone']:.3f}",
            f"{effect['without']:.3f}",
        )
    console.print(table)
    kinds = sorted(answer["categories"].items(), key=lambda kind: -kind[1])
    console.print("kinds: " + ", ".join(f"{name} {value:.3f}" for name, value in kinds))
    found = answer["image_text"]
    if found["source"] == "not_read":
        console.print(
            f"the image was not read: {found['reason']}", style="yellow", markup=False, soft_wrap=True
        )
    elif found["source"] == "read":
        console.print(f"read in the image: {found['text'] or 'no words'}", markup=False, soft_wrap=True)
    _print_words(console, answer, texts)


def _print_words(console: Console, answer: dict[str, Any], texts: dict[str, str]) -> None:
    """The texts with their words coloured, and the words that did most."""
    from rich.text import Text

    for name, text in texts.items():
        effects = [word for word in answer["words"] if word["input"] == name]
        if not effects:
            continue
        shown = Text(text)
        most = max(abs(word["weight"]) for word in effects)
        for word in effects:
            if abs(word["weight"]) >= max(most / 3, 0.005):
                shown.stylize(_FOR if word["weight"] > 0 else _AGAINST, word["start"], word["end"])
        console.print(Text(f"{_INPUTS[name]}: ").append_text(shown), soft_wrap=True)
        strongest = sorted(effects, key=lambda word: -abs(word["weight"]))[:_MOST_WORDS]
        told = [f"{text[word['start'] : word['end']]} {word['weight']:+.3f}" for word in strongest]
        console.print("  " + ", ".join(told), style="dim", markup=False, soft_wrap=True)


def _style(answer: dict[str, Any]) -> str:
    return _FOR if answer["label"] == "hate" else "default"


def _bar(value: float) -> Text:
    """A bar to the right of the middle for what speaks for hate, to the left for what speaks against it."""
    from rich.text import Text

    length = min(_BAR, max(1, round(abs(value) * 2 * _BAR))) if abs(value) >= 0.0005 else 0
    left = ("█" * length if value < 0 else "").rjust(_BAR)
    right = ("█" * length if value > 0 else "").ljust(_BAR)
    return Text.assemble((left, _AGAINST), "│", (right, _FOR))
