"""Measures a published style model through the predictor that serves it.

    python -m training.style_transfer.evaluate --model scene --part held_out --report report.json

Two measures, on words that no style model was trained on:

style      By how much the style loss to each style's picture falls from the plain word to
           the restyled one (Gram matrices of relu1_1, relu2_1 and relu3_1, each relative
           to the target's; whole picture restyled).
legibility Of the words that the recogniser reads right before, the part that it still
           reads right after the two-stage restyling (heatmap of TextFCN), averaged over
           the styles; and the same for pictures that are restyled whole.

`held_out` is the 450 word crops of `iiit5k`; `dev` the ICDAR 2015 word crops that
training only looked at: weights, losses and the heat floor are chosen there. For
`print` the words are drawn in a font that is no style, for `handwriting` they are
those of the two writers that are no styles; legibility is measured on them as well,
though the recogniser was not made for handwriting. `--content` crosses the domains, which
is where the thesis's models fail (3.2.5): scene text or handwriting to print, print to
handwriting.
"""

import argparse
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from interplay.media.draw import contact_sheet
from interplay.models.perceptual import Perceptual, gram, relative_style_losses
from interplay.predictors.style_transfer.describer import load_perceptual
from interplay.predictors.style_transfer.masks import blend, heat_mask
from interplay.predictors.style_transfer.stylist import Stylist
from interplay.predictors.style_transfer.words import draw_words
from interplay.predictors.text_detection.reader import WordReader
from interplay.predictors.text_detection.segmenter import TextSegmenter
from interplay.store import resolve
from training.style_transfer.sources import MODELS, dev_crops, load_styles
from training.style_transfer.styles import WRITERS_AS_STYLES, StyleImage, read_iam, scaled
from training.style_transfer.task import as_input, target_grams
from training.text_detection.data import read_rgb
from training.text_detection.paths import data_dir

# Height at which a word's style is compared: that of the style pictures.
_COMPARED_HEIGHT = 64


@dataclass(frozen=True)
class Word:
    """A picture of a word and what it says."""

    image: np.ndarray
    text: str


@dataclass(frozen=True)
class Failure:
    """A word that was not read any more in a style, and what was read instead."""

    style: str
    word: Word
    styled: np.ndarray
    read: str


def load_words(domain: str, part: str, data: Path) -> list[Word]:
    """Words of a domain and a part; see the module docstring."""
    if domain == "print":
        return drawn_words(data, 1 if part == "dev" else 2)
    if domain == "handwriting":
        writers = list(read_iam(data).values())[WRITERS_AS_STYLES:]
        chosen = writers[:1] if part == "dev" else writers[1:]
        return [Word(read_rgb(path), text) for words in chosen for path, text in words]
    if part == "held_out":
        rows = [json.loads(line) for line in (data / "iiit5k" / "words.jsonl").read_text().splitlines()]
        return [Word(read_rgb(data / "iiit5k" / "images" / row["image"]), row["text"]) for row in rows]
    texts = {}
    for line in (data / "icdar2015_words" / "gt.txt").read_text(encoding="utf-8-sig").splitlines():
        name, _, text = line.partition(", ")
        texts[name] = text.strip('"')
    return [Word(read_rgb(path), texts[path.name]) for path in dev_crops(data)]


def drawn_words(data: Path, seed: int, count: int = 100) -> list[Word]:
    """Caption words in the font of drawn words, black on white, cut as closely as the real crops."""
    vocabulary = sorted(set((data / "coco_captions" / "all_captions.txt").read_text().lower().split()))
    letters_only = [word for word in vocabulary if word.isalpha() and 3 <= len(word) <= 10]
    chosen = random.Random(seed).sample(letters_only, count)
    drawn = [draw_words(word, 40, (0, 0, 0), (255, 255, 255)).image for word in chosen]
    return [Word(image[14:-14, 14:-14], word) for image, word in zip(drawn, chosen, strict=True)]


def same_text(read: str, truth: str) -> bool:
    """Whether two readings are the same but for case and what is neither letter nor digit."""
    return _bare(read) == _bare(truth)


def _bare(text: str) -> str:
    return "".join(letter for letter in text.casefold() if letter.isalnum())


def read_all(reader: WordReader, images: Sequence[np.ndarray]) -> list[str]:
    """What the recogniser reads in pictures of words, each read alone."""
    return [str(reader.predict_batch([image]).results[0][0]) for image in images]  # type: ignore[index]


@torch.inference_mode()
def style_losses(
    perceptual: Perceptual, images: Sequence[np.ndarray], targets: dict[str, torch.Tensor]
) -> np.ndarray:
    """Summed relative style losses of pictures to one style; shape (images,)."""
    losses = []
    for image in images:
        picture = scaled(image, _COMPARED_HEIGHT)
        x = as_input(torch.from_numpy(picture.transpose(2, 0, 1).copy())[None])
        grams = {name: gram(value) for name, value in perceptual(x).items()}
        losses.append(relative_style_losses(grams, targets)[0].sum().item())
    return np.array(losses)


def measure_style(
    stylist: Stylist, perceptual: Perceptual, styles: Sequence[StyleImage], words: Sequence[Word]
) -> dict[str, dict[str, float]]:
    """Style loss before and after restyling, and by how much of itself it falls, for each style."""
    targets = target_grams(perceptual, styles)
    report = {}
    plain = [word.image for word in words]
    for row, style in enumerate(tqdm(styles, desc="style loss")):
        own = {name: value[row : row + 1] for name, value in targets.items()}
        before = style_losses(perceptual, plain, own).mean()
        styled = [stylist.stylize(image, {style.name: 1.0}) for image in plain]
        after = style_losses(perceptual, styled, own).mean()
        report[style.name] = {
            "before": round(float(before), 4),
            "after": round(float(after), 4),
            "fall": round(float(1 - after / before), 4),
        }
    return report


def measure_legibility(
    stylist: Stylist,
    segmenter: TextSegmenter,
    reader: WordReader,
    words: Sequence[Word],
    floor: float,
) -> tuple[dict[str, Any], list[Failure]]:
    """Part of the words still read after restyling, by style and on average.

    Args:
        stylist: the model.
        segmenter: its heatmaps blend the two-stage mode.
        reader: the recogniser.
        words: what to restyle.
        floor: heat below it counts as none.

    Returns:
        The report, for the modes "selective" (two-stage) and "whole", and what was not read
        any more in the selective mode.

    Raises:
        ValueError: the recogniser reads none of the words.
    """
    readable = [
        word
        for word, text in zip(words, read_all(reader, [w.image for w in words]), strict=True)
        if same_text(text, word.text)
    ]
    if not readable:
        raise ValueError(f"the recogniser reads none of the {len(words)} words before restyling")
    heats = [segmenter.predict([word.image])[0].text for word in readable]
    masks = [heat_mask(np.rint(heat * 255).astype(np.uint8), floor) for heat in heats]
    by_style: dict[str, dict[str, float]] = {"selective": {}, "whole": {}}
    failures = []
    for name in tqdm(stylist.styles, desc="legibility"):
        hits: dict[str, list[bool]] = {"selective": [], "whole": []}
        for word, mask in zip(readable, masks, strict=True):
            whole = stylist.stylize(word.image, {name: 1.0})
            selective = blend(word.image, whole, mask)  # a crop is one pass: what serving does
            texts = read_all(reader, [selective, whole])
            hits["selective"].append(same_text(texts[0], word.text))
            hits["whole"].append(same_text(texts[1], word.text))
            if not hits["selective"][-1]:
                failures.append(Failure(name, word, selective, texts[0]))
        for mode, values in hits.items():
            by_style[mode][name] = round(float(np.mean(values)), 4)
    report: dict[str, Any] = {
        "words": len(words),
        "read_before": len(readable),
        "restyled_area": round(float(np.mean([(mask > 0).mean() for mask in masks])), 4),
    }
    for mode, shares in by_style.items():
        report[mode] = {"still_read": round(float(np.mean(list(shares.values()))), 4), "by_style": shares}
    return report, failures


def failure_sheet(failures: Sequence[Failure], most: int = 48) -> np.ndarray:
    """Words above what was made of them, drawn at random from those that were not read any more."""
    chosen = random.Random(0).sample(list(failures), min(most, len(failures)))
    pairs = [np.vstack([scaled(image, 64) for image in (one.word.image, one.styled)]) for one in chosen]
    captions = [f"{one.style}: {one.word.text} read as {one.read}" for one in chosen]
    return contact_sheet(pairs, captions)


def styles_table(report: dict[str, Any]) -> str:
    """The report's styles as a Markdown table."""
    selective, whole = (report["legibility"][mode]["by_style"] for mode in ("selective", "whole"))
    lines = [
        "| style | style loss before | after | fall | still read, two-stage | still read, whole |",
        "|---|---|---|---|---|---|",
    ]
    for name, row in report["style"].items():
        lines.append(
            f"| {name} | {row['before']:.2f} | {row['after']:.2f} | {row['fall']:.1%} "
            f"| {selective[name]:.1%} | {whole[name]:.1%} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Command line; see the module docstring."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", choices=MODELS, default="scene")
    parser.add_argument("--content", choices=MODELS, help="domain of the words (default: the model's)")
    parser.add_argument("--part", choices=("dev", "held_out"), default="held_out")
    parser.add_argument("--store", type=Path, default=Path("model_store"), help="default: model_store")
    parser.add_argument("--version", type=int, help="default: the newest")
    parser.add_argument("--data", type=Path, default=data_dir(), help="data folder (INTERPLAY_DATA_DIR)")
    parser.add_argument("--fonts", type=Path, help="folder with the fonts of fonts.txt, for --model print")
    parser.add_argument("--heat-floor", type=float, help="default: the manifest's")
    parser.add_argument("--style-words", type=int, default=60, help="words for the style loss (default 60)")
    parser.add_argument("--limit", type=int, help="only so many words for legibility")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--report", type=Path, help="write the JSON report here")
    parser.add_argument("--table", type=Path, help="write the styles' table here (Markdown)")
    parser.add_argument("--failures", type=Path, help="draw words that are not read any more here (PNG)")
    args = parser.parse_args()
    stored = resolve(args.store, f"style-{args.model}", args.version)
    stylist = Stylist.load(stored, device="cpu", threads=args.threads)
    perceptual = load_perceptual(resolve(args.store, "perceptual-vgg19"))
    styles = load_styles(args.model, args.data, args.fonts)
    by_name = {style.name: style for style in styles}
    words = load_words(args.content or args.model, args.part, args.data)
    random.Random(0).shuffle(words)
    floor = stored.manifest.thresholds["heat_floor"] if args.heat_floor is None else args.heat_floor
    segmenter = TextSegmenter.load(resolve(args.store, "textfcn-compact"), device="cpu", threads=args.threads)
    reader = WordReader(threads=args.threads)
    legibility, failures = measure_legibility(stylist, segmenter, reader, words[: args.limit], floor)
    style = measure_style(
        stylist, perceptual, [by_name[name] for name in stylist.styles], words[: args.style_words]
    )
    falls = [row["fall"] for row in style.values()]
    report: dict[str, Any] = {
        "model": f"{stored.manifest.name} {stored.manifest.version}",
        "content": args.content or args.model,
        "part": args.part,
        "heat_floor": floor,
        "style_words": len(words[: args.style_words]),
        "style_fall": {"mean": round(float(np.mean(falls)), 4), "least": round(min(falls), 4)},
        "legibility": legibility,
        "style": style,
    }
    if args.report:
        args.report.write_text(json.dumps(report, indent=2) + "\n")
    if args.table:
        args.table.write_text(styles_table(report))
    if args.failures:
        if failures:
            Image.fromarray(failure_sheet(failures)).save(args.failures)
        else:
            print(f"every word is still read in every style: {args.failures} is not written")
    print(json.dumps({key: value for key, value in report.items() if key not in ("style",)}, indent=1))


if __name__ == "__main__":
    main()
