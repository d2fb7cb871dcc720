"""Adds a style to a model of the store: ``interplay style learn`` runs this as a process of its own.

    python -m interplay.predictors.style_transfer.learn --image crop.png --name NAME

The model's next version then holds the old styles, unchanged to the bit, and the new one.
"""

from __future__ import annotations

import argparse
import random
import re
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from safetensors.torch import load_file, save_file

from interplay.errors import Conflict, InterplayError, InvalidParameter
from interplay.media.images import ImageLimits, decode, encode_png
from interplay.models.style_transformer import build_style_transformer
from interplay.predictors.style_transfer.describer import load_perceptual
from interplay.predictors.style_transfer.learner import Learned, content_crop, learn_style
from interplay.predictors.style_transfer.stylist import Stylist
from interplay.predictors.style_transfer.words import ink_and_paper
from interplay.settings import REPOSITORY_ROOT, available_cores
from interplay.store import WEIGHTS_FILE, StoredModel, list_models, publish, resolve
from interplay.types import Image

NAME = re.compile(r"^[a-z0-9][a-z0-9-]{0,63}$")
MODELS = ("scene", "print", "handwriting")
_SMALLEST_SIDE = 16
_MOST_PHOTOS = 200


def read_picture(path: Path) -> Image:
    """The picture of the word.

    Raises:
        InterplayError: It is no image, or too small or too large to learn from.
    """
    image = decode(path.read_bytes(), ImageLimits(max_pixels=4_000_000))
    if min(image.shape[:2]) < _SMALLEST_SIDE:
        raise InvalidParameter(
            f"{path} has {image.shape[1]}x{image.shape[0]} pixels; "
            f"a style needs {_SMALLEST_SIDE} on each side"
        )
    if np.ptp(image.reshape(-1, 3), axis=0).max() < 16:
        raise InvalidParameter(f"{path} is of one colour; there is no style in it")
    return image


def check_name(store: Path, name: str) -> None:
    """Refuse names that are malformed or taken.

    Raises:
        InvalidParameter, Conflict: With the reason.
    """
    if not NAME.fullmatch(name):
        raise InvalidParameter(
            f"the name {name[:80]!r} must be 1 to 64 lower-case letters, digits and hyphens, no hyphen first"
        )
    newest = {manifest.name: manifest for manifest in list_models(store)}  # sorted, so the last one stays
    for model in MODELS:
        manifest = newest.get(f"style-{model}")
        if manifest is not None and name in manifest.labels:
            raise Conflict(f"{manifest.name} version {manifest.version} has a style {name!r} already")


def publish_with(
    store: Path, base: StoredModel, name: str, picture: Image, learned: Learned, training: dict[str, object]
) -> StoredModel:
    """Publish a model's next version, with one more style."""
    state = load_file(base.weights)
    for key, row in (("gamma", learned.gamma), ("beta", learned.beta)):
        state[key] = torch.cat([state[key], row[None].to(state[key].dtype)])
    old = base.manifest
    ink, paper = ink_and_paper(picture)
    fact = {"source": "learned with `interplay style learn`", "ink": _rounded(ink), "paper": _rounded(paper)}
    manifest = old.model_copy(
        update={
            "version": old.version + 1,
            "config": {**old.config, "styles": old.config["styles"] + 1},
            "labels": (*old.labels, name),
            "details": {**old.details, "styles": [*old.details["styles"], fact]},
            "parameters": old.parameters + learned.gamma.numel() + learned.beta.numel(),
            "training": {**old.training, "learned": [*old.training.get("learned", []), training]},
        }
    )
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / WEIGHTS_FILE
        save_file({key: value.contiguous() for key, value in state.items()}, weights)
        return publish(store, manifest, weights)


def _rounded(colour: tuple[float, float, float]) -> list[int]:
    return [round(value) for value in colour]


def _photos(folder: Path | None) -> list[Image]:
    if folder is None:
        return []
    files = sorted(p for p in folder.iterdir() if p.suffix.lower() in (".jpg", ".jpeg", ".png", ".webp"))
    if not files:
        raise InvalidParameter(f"there are no photos in {folder}")
    return [decode(path.read_bytes()) for path in files[:_MOST_PHOTOS]]


def run(args: argparse.Namespace, console: Console) -> StoredModel:
    """Learn and publish; progress goes to the console."""
    check_name(args.store, args.name)
    picture = read_picture(args.image)
    photos = _photos(args.photos)
    base = resolve(args.store, f"style-{args.model}")
    perceptual = load_perceptual(resolve(args.store, "perceptual-vgg19"))
    torch.set_num_threads(args.threads or available_cores())
    network = build_style_transformer(base.manifest.config)
    network.load_state_dict({key: value.float() for key, value in load_file(base.weights).items()})
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("learning", total=args.steps)

        def report(step: int, losses: dict[str, float]) -> None:
            text = f"style {losses['style']:.2f}, content {losses['content']:.2f}"
            progress.update(task, completed=step, description=text)
            if not console.is_terminal and step % 50 == 0:
                console.print(f"step {step}/{args.steps}: {text}", highlight=False)

        learned = learn_style(
            network.eval(),
            perceptual,
            picture,
            photos=photos,
            steps=args.steps,
            seed=args.seed,
            report=report,
        )
    training = {
        "name": args.name,
        "steps": args.steps,
        "seed": args.seed,
        "photos": len(photos),
        "started_from": base.manifest.labels[learned.started_from],
        "style_loss_before": round(learned.loss_before, 4),
        "style_loss_after": round(learned.loss_after, 4),
    }
    stored = publish_with(args.store, base, args.name, picture, learned, training)
    console.print(
        f"{stored.manifest.name} version {stored.manifest.version} has the style {args.name}: style loss "
        f"{learned.loss_before:.2f} -> {learned.loss_after:.2f} on words it was not trained on",
        highlight=False,
        soft_wrap=True,
    )
    if args.preview is not None:
        stylist = Stylist.load(stored, device="cpu")
        plain = content_crop(random.Random("preview"), 256, photos)
        styled = stylist.stylize(plain, {args.name: 1.0})
        args.preview.write_bytes(encode_png(np.concatenate([plain, styled], axis=1)))
    return stored


def main() -> int:
    """Command line; see the module docstring."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--image", type=Path, required=True, help="picture of a word in the style")
    parser.add_argument("--name", required=True, help="of the style")
    parser.add_argument("--model", choices=MODELS, default="scene")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--photos", type=Path, help="folder of photos to learn on, beside drawn words")
    parser.add_argument("--preview", type=Path, help="write a picture of drawn words, plain and restyled")
    parser.add_argument("--store", type=Path, default=REPOSITORY_ROOT / "model_store")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    console = Console()
    try:
        run(args, console)
    except (InterplayError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
