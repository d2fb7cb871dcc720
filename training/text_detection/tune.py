"""Chooses scale and thresholds on the dev photos and writes them to `recipe.json`.

    python -m training.text_detection.tune --store model_store --write

Tries every combination of input scale and region thresholds, through the predictor
that serves the model, and keeps the one with the best ICDAR 2015 F on the 20 dev
photos. The held-out photos are never read here. Publish again afterwards: a manifest
does not change.
"""

import argparse
import json
from dataclasses import replace
from itertools import product
from pathlib import Path

from tqdm import tqdm

from interplay.predictors.text_detection.regions import RegionParams
from interplay.predictors.text_detection.segmenter import TextSegmenter
from interplay.store import StoredModel, resolve
from training.text_detection.data import read_rgb
from training.text_detection.evaluate import score_words
from training.text_detection.export import RECIPE_FILE, read_recipe
from training.text_detection.paths import data_dir
from training.text_detection.split import load_part

CORE_THRESHOLDS = (0.5, 0.7, 0.8, 0.9, 0.95)
SCORE_THRESHOLDS = (0.3, 0.5, 0.6, 0.7, 0.8)
MIN_SIDES_PX = (4.0, 8.0, 10.0)


def with_scale(stored: StoredModel, scale: float) -> StoredModel:
    """The same model at another input scale."""
    preprocessing = stored.manifest.preprocessing.model_copy(
        update={"scale": scale, "max_side": round(1280 * max(1.0, scale))}
    )
    return replace(stored, manifest=stored.manifest.model_copy(update={"preprocessing": preprocessing}))


def main() -> None:
    """Command line; see the module docstring."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--store", type=Path, default=Path("model_store"), help="default: model_store")
    parser.add_argument("--name", default="textfcn-compact")
    parser.add_argument("--version", type=int, help="default: the newest")
    parser.add_argument("--data", type=Path, default=data_dir(), help="data folder (INTERPLAY_DATA_DIR)")
    parser.add_argument("--scales", type=float, nargs="+", default=[1.0, 1.25], help="default: 1.0 1.25")
    parser.add_argument("--write", action="store_true", help="write the best to recipe.json")
    args = parser.parse_args()
    stored = resolve(args.store, args.name, args.version)
    samples = load_part("dev", args.data)
    best: tuple[float, float, RegionParams] | None = None
    for scale in args.scales:
        segmenter = TextSegmenter.load(with_scale(stored, scale))
        heatmaps = [segmenter.predict([read_rgb(s.image)])[0] for s in tqdm(samples, desc=f"scale {scale}")]
        start = RegionParams.from_manifest(stored.manifest)
        here: tuple[float, RegionParams] | None = None
        for core, score, side in product(CORE_THRESHOLDS, SCORE_THRESHOLDS, MIN_SIDES_PX):
            params = replace(start, pixel_threshold=core, score_threshold=score, min_side_px=side)
            f = score_words(samples, heatmaps, params).f_score
            if here is None or f > here[0]:
                here = (f, params)
        assert here is not None
        found = score_words(samples, heatmaps, here[1])
        print(f"scale {scale}: F {found.f_score:.4f} P {found.precision:.4f} R {found.recall:.4f} {here[1]}")
        if best is None or here[0] > best[0]:
            best = (here[0], scale, here[1])
    assert best is not None
    if args.write:
        recipe = read_recipe()
        _, scale, params = best
        recipe["preprocessing"].update(scale=scale, max_side=round(1280 * max(1.0, scale)))
        chosen = {
            "core": params.pixel_threshold,
            "score": params.score_threshold,
            "min_side_px": params.min_side_px,
        }
        recipe["thresholds"].update(chosen)
        RECIPE_FILE.write_text(json.dumps(recipe, indent=2) + "\n")
        print(f"written to {RECIPE_FILE.name}")


if __name__ == "__main__":
    main()
