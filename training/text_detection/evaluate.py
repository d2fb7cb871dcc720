"""Measures a published TextFCN through the predictor that serves it.

    python -m training.text_detection.evaluate --store model_store --part held_out --report report.json

Reports, on one part of the ICDAR 2015 photos at hand (training.text_detection.split):
word precision, recall and F (ICDAR 2015 protocol), and pixel precision, recall and F1
of the heatmap; on COCO photos without text that nothing was trained on: the mean
probability; and seconds a photo of 1280 × 720. `held_out` is for reporting only:
thresholds and checkpoints are chosen on `dev` (training.text_detection.tune).
"""

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from interplay.predictors.text_detection.regions import RegionParams, regions_from_heatmap
from interplay.predictors.text_detection.segmenter import TextSegmenter
from interplay.store import resolve
from interplay.types import Heatmap
from training.datasets.sample import Sample
from training.text_detection.data import read_rgb
from training.text_detection.icdar import Score, icdar2015
from training.text_detection.paths import data_dir, photos_dir
from training.text_detection.split import load_part


def score_words(samples: Sequence[Sample], heatmaps: Sequence[Heatmap], params: RegionParams) -> Score:
    """Pooled ICDAR 2015 score of the regions of some photos."""
    rows = []
    for sample, heatmap in zip(samples, heatmaps, strict=True):
        found = [region.polygon for region in regions_from_heatmap(heatmap, params)]
        legible = [word.legible for word in sample.words]
        rows.append(icdar2015([word.polygon for word in sample.words], legible, found))
    return Score.total(rows)


def score_pixels(
    samples: Sequence[Sample], heatmaps: Sequence[Heatmap], threshold: float
) -> dict[str, float]:
    """Precision, recall and F1 of text pixels; pixels of don't-care words do not count."""
    hits = found = wanted = 0
    for sample, heatmap in zip(samples, heatmaps, strict=True):
        truth = np.zeros(heatmap.text.shape, np.uint8)
        counted = np.ones(heatmap.text.shape, np.uint8)
        for word in sample.words:
            cv2.fillPoly(
                truth if word.legible else counted,
                [np.round(word.polygon).astype(np.int32)],
                int(word.legible),
            )
        counted |= truth
        text = (heatmap.text >= threshold) & (counted > 0)
        hits += int((text & (truth > 0)).sum())
        found += int(text.sum())
        wanted += int(truth.sum())
    precision, recall = hits / max(found, 1), hits / max(wanted, 1)
    f1 = 2 * precision * recall / max(precision + recall, 1e-9)
    return {"precision": precision, "recall": recall, "f1": f1}


def text_free_photos(data: Path, limit: int | None = None) -> list[Path]:
    """Held-out COCO photos in which PP-OCR's detector finds no text; `INTERPLAY_EXTRA_PHOTOS` has them."""
    from training.synth.photos import find_text_free

    folder = photos_dir()
    names = (data / "coco_captions" / "held_out_ids.txt").read_text().split()
    names = [name for name in names if (folder / name).is_file()]
    return [folder / name for name in find_text_free(folder, names, limit or len(names))]


def measure_quiet(segmenter: TextSegmenter, photos: Sequence[Path]) -> dict[str, float]:
    """Mean and 95th percentile of the photos' mean text probability."""
    means = [
        float(segmenter.predict([read_rgb(path)])[0].text.mean()) for path in tqdm(photos, desc="text-free")
    ]
    return {"photos": len(means), "mean": float(np.mean(means)), "p95": float(np.percentile(means, 95))}


def measure_speed(segmenter: TextSegmenter, image: np.ndarray, repeats: int = 15) -> dict[str, float]:
    """Median seconds of the predictor on one photo, after a warm-up."""
    segmenter.warm_up()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        segmenter.predict([image])
        times.append(time.perf_counter() - started)
    return {
        "median_s": float(np.median(times)),
        "best_s": min(times),
        "width": image.shape[1],
        "height": image.shape[0],
    }


def evaluate(segmenter: TextSegmenter, samples: Sequence[Sample], quiet: Sequence[Path]) -> dict[str, Any]:
    """The whole report, rounded to four digits."""
    heatmaps = [segmenter.predict([read_rgb(sample.image)])[0] for sample in tqdm(samples, desc="photos")]
    manifest = segmenter.manifest
    words = score_words(samples, heatmaps, RegionParams.from_manifest(manifest))
    report: dict[str, Any] = {
        "photos": len(samples),
        "words": {
            "precision": words.precision,
            "recall": words.recall,
            "f": words.f_score,
            "truths": words.truths,
            "detections": words.detections,
        },
        "pixels": score_pixels(samples, heatmaps, manifest.thresholds["pixel"]),
        "speed": measure_speed(segmenter, read_rgb(samples[0].image)),
    }
    if quiet:
        report["text_free"] = measure_quiet(segmenter, quiet)
    return _rounded(report)


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return round(value, 4) if isinstance(value, float) else value


def main() -> None:
    """Command line; see the module docstring."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--store", type=Path, default=Path("model_store"), help="default: model_store")
    parser.add_argument("--name", default="textfcn-compact")
    parser.add_argument("--version", type=int, help="default: the newest")
    parser.add_argument("--part", choices=("train", "dev", "held_out"), default="dev")
    parser.add_argument("--data", type=Path, default=data_dir(), help="data folder (INTERPLAY_DATA_DIR)")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--skip-text-free", action="store_true", help="leave the text-free photos out")
    parser.add_argument("--report", type=Path, help="JSON file to write")
    args = parser.parse_args()
    segmenter = TextSegmenter.load(resolve(args.store, args.name, args.version), device=args.device)
    quiet = [] if args.skip_text_free else text_free_photos(args.data)
    report = {
        "part": args.part,
        "dtype": segmenter.dtype,
        **evaluate(segmenter, load_part(args.part, args.data), quiet),
    }
    text = json.dumps(report, indent=2)
    if args.report is not None:
        args.report.write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
