"""Why detectors trained on restyled photos find less: how strong words are, and which are lost.

    python -m training.style_transfer.contrast --augmented AUGMENTED --runs RUNS

Contrast of a word is the standard deviation of the grey values inside its polygon. The first table
compares words of photos with the same words restyled; the second says what part of the held-out words' pixels
the detectors of `usefulness` find, by quarters of the words' contrast.
"""

import argparse
import json
from pathlib import Path

import cv2
import numpy as np

from training.datasets.sample import Sample
from training.style_transfer.usefulness import load_segmenter, read_augmented
from training.text_detection.data import read_rgb
from training.text_detection.paths import data_dir
from training.text_detection.split import load_part


def word_masks(sample: Sample, shape: tuple[int, ...]) -> list[np.ndarray]:
    """(H, W) bool of each legible word."""
    masks = []
    for word in sample.words:
        if word.legible:
            mask = np.zeros(shape[:2], np.uint8)
            cv2.fillPoly(mask, [np.round(word.polygon).astype(np.int32)], 1)
            if mask.any():
                masks.append(mask > 0)
    return masks


def contrasts(sample: Sample) -> list[float]:
    """Contrast of each legible word, in grey levels."""
    image = read_rgb(sample.image)
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return [float(grey[mask].std()) for mask in word_masks(sample, image.shape)]


def found_parts(checkpoint: Path, samples: list[Sample]) -> list[float]:
    """Part of each legible word's pixels that a detector calls text."""
    segmenter = load_segmenter(checkpoint)
    parts = []
    for sample in samples:
        image = read_rgb(sample.image)
        text = segmenter.predict([image])[0].text >= 0.5
        parts += [float(text[mask].mean()) for mask in word_masks(sample, image.shape)]
    return parts


def main() -> None:
    """Command line; see the module docstring."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=data_dir(), help="data folder (INTERPLAY_DATA_DIR)")
    parser.add_argument("--augmented", type=Path, required=True, help="output folder of augment_dataset")
    parser.add_argument("--runs", type=Path, required=True, help="output folder of usefulness run")
    parser.add_argument("--variants", type=int, nargs="+", default=[0, 4])
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    rows = [json.loads(line) for line in (args.augmented / "manifest.jsonl").read_text().splitlines()]
    kinds = {row["file"]: row["variant"] > 0 for row in rows}
    strength: dict[bool, list[float]] = {False: [], True: []}
    for sample in read_augmented(args.augmented, max(row["variant"] for row in rows)):
        strength[kinds[sample.image.name]] += contrasts(sample)
    print("| words of | number | contrast: lower quartile | median | upper quartile |\n|---|---|---|---|---|")
    for name, values in (("photos", strength[False]), ("restyled photos", strength[True])):
        low, middle, high = np.percentile(values, (25, 50, 75))
        print(f"| {name} | {len(values)} | {low:.1f} | {middle:.1f} | {high:.1f} |")
    held_out = load_part("held_out", args.data)
    strong = np.array([value for sample in held_out for value in contrasts(sample)])
    quarters = np.digitize(strong, np.percentile(strong, (25, 50, 75)))
    print("\n| trained with | weakest quarter found | second | third | strongest |\n|---|---|---|---|---|")
    for variants in args.variants:
        folder = args.runs / f"variants{variants}-seed{args.seed}" / "checkpoints"
        checkpoint = max(folder.iterdir(), key=lambda path: int(path.name.split("_")[1]))
        found = np.array(found_parts(checkpoint, held_out))
        cells = " | ".join(f"{found[quarters == quarter].mean():.3f}" for quarter in range(4))
        print(f"| {variants} variants | {cells} |")


if __name__ == "__main__":
    main()
