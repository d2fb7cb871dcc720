"""Measures a published TextFCN script by script, on drawn text over real photos.

    python -m training.text_detection.scripts --store model_store --report scripts.json

There are no labelled street photos in most scripts at hand, so each script is drawn
with installed fonts over held-out COCO photos without text (no photo or seed of these
was trained on; fonts are the training's). Says how well the heatmap finds the pixels
of words, through the predictor that serves the model: a comparison between scripts,
not an estimate for street photos.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from tqdm import tqdm

from interplay.predictors.text_detection.segmenter import TextSegmenter
from interplay.store import resolve
from training.datasets.sample import Sample, WordLabel
from training.synth.fonts import SCRIPTS, find_fonts
from training.synth.lines import Vocabulary
from training.synth.scene import Materials, make_scene
from training.text_detection.evaluate import score_pixels, text_free_photos
from training.text_detection.paths import data_dir

_FIRST_SEED = 900_000_000  # far from those of training.synth.generate


def score_script(
    segmenter: TextSegmenter, script: str, fonts: list[str], photos: list[Path], count: int
) -> dict[str, float]:
    """Pixel precision, recall and F1 on `count` drawn scenes with words of one script."""
    materials = Materials(
        photos=[str(path) for path in photos],
        fonts={script: fonts},
        vocabulary=Vocabulary([], [script], latin_share=float(script == "latin")),
        crops=[],
        layouts=[],
    )
    samples, heatmaps, seed = [], [], _FIRST_SEED
    while len(samples) < count:
        scene = make_scene(seed, materials)
        seed += 1
        if not scene.polygons:
            continue
        labels = tuple(WordLabel(polygon, "", True) for polygon in scene.polygons)
        samples.append(Sample(Path(str(seed)), labels))
        heatmaps.append(segmenter.predict([np.ascontiguousarray(scene.image)])[0])
    return score_pixels(samples, heatmaps, segmenter.manifest.thresholds["pixel"])


def main() -> None:
    """Command line; see the module docstring."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--store", type=Path, default=Path("model_store"), help="default: model_store")
    parser.add_argument("--name", default="textfcn-compact")
    parser.add_argument("--version", type=int, help="default: the newest")
    parser.add_argument("--data", type=Path, default=data_dir(), help="data folder (INTERPLAY_DATA_DIR)")
    parser.add_argument("--count", type=int, default=20, help="scenes a script (default 20)")
    parser.add_argument("--report", type=Path, help="JSON file to write")
    args = parser.parse_args()
    segmenter = TextSegmenter.load(resolve(args.store, args.name, args.version))
    photos = text_free_photos(args.data, limit=60)
    fonts = find_fonts()
    report = {}
    for script in tqdm([name for name in SCRIPTS if name in fonts], desc="scripts"):
        scores = score_script(segmenter, script, fonts[script], photos, args.count)
        report[script] = {key: round(value, 3) for key, value in scores.items()}
    if args.report is not None:
        args.report.write_text(json.dumps(report, indent=2) + "\n")
    for script, scores in report.items():
        print(f"{script:12} P {scores['precision']:.3f}  R {scores['recall']:.3f}  F1 {scores['f1']:.3f}")


if __name__ == "__main__":
    main()
