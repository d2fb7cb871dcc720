"""Heatmap of a photo against PP-OCRv4's detector, on the same photos, in turn, in one run.

    python -m benchmarks.segment --photos 40

Both run in this process with as many threads as there are usable cores. The heatmap's time covers
preprocessing, network and the heatmap at the photo's size, and with ``Segment`` the PNG as well;
the detector's time is that of a call of RapidOCR's ``TextDetector`` at its defaults. Decoding is
in neither.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import median
from time import perf_counter

import cv2
import rapidocr_onnxruntime
import yaml
from rapidocr_onnxruntime.ch_ppocr_det import TextDetector

from benchmarks.photos import held_out_photos
from benchmarks.report import machine, print_table, write
from interplay.media.images import decode, encode_heatmap_png
from interplay.predictors.device import choose_dtype
from interplay.predictors.text_detection.segmenter import TextSegmenter
from interplay.settings import REPOSITORY_ROOT, available_cores
from interplay.store import resolve
from interplay.types import Heatmap


def ppocr_detector() -> TextDetector:
    """RapidOCR's detector at its defaults."""
    package = Path(rapidocr_onnxruntime.__file__).parent
    config = yaml.safe_load((package / "config.yaml").read_text())["Det"]
    config["model_path"] = str(package / config["model_path"])
    return TextDetector(config)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=int, default=40)
    parser.add_argument("--model-store", type=Path, default=REPOSITORY_ROOT / "model_store")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    images = [decode(content) for content in held_out_photos(arguments.photos)]
    stored = resolve(arguments.model_store, "textfcn-compact")
    segmenters = {
        dtype: TextSegmenter.load(stored, device="cpu", threads=available_cores(), dtype=dtype)
        for dtype in dict.fromkeys((choose_dtype("cpu"), "float32"))
    }
    detector = ppocr_detector()
    seconds: dict[str, list[float]] = {}
    for round_number in range(2):  # the first warms everything up
        seconds = {
            "PP-OCRv4 detector": [],
            **{f"heatmap, {d}": [] for d in segmenters},
            "Segment (with PNG)": [],
        }
        for image in images if round_number else images[:3]:
            started = perf_counter()
            detector(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
            seconds["PP-OCRv4 detector"].append(perf_counter() - started)
            for dtype, segmenter in segmenters.items():
                started = perf_counter()
                (heatmap,) = segmenter.predict_batch([image]).results
                seconds[f"heatmap, {dtype}"].append(perf_counter() - started)
                if dtype == choose_dtype("cpu"):
                    assert isinstance(heatmap, Heatmap)
                    encode_heatmap_png(heatmap.text)
                    seconds["Segment (with PNG)"].append(perf_counter() - started)
    base = median(seconds["PP-OCRv4 detector"])
    rows = [
        {"what": name, "median_ms": round(median(s) * 1000), "times PP-OCRv4": round(median(s) / base, 2)}
        for name, s in seconds.items()
    ]
    print(machine())
    print_table(f"{len(images)} photos of 1280×720", rows)
    write(arguments.out, {"segment": rows, "photos": len(images)})


if __name__ == "__main__":
    main()
