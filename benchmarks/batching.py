"""Does a batch pay? Heatmaps a second by batch size and photo size, where the pixel budget comes from.

    python -m benchmarks.batching
    python -m benchmarks.batching --device cuda --sizes 1 4 16

The same held-out photos, scaled, through the serving predictor. ``times single`` above 1 says that
the batch pays; the budget of ``interplay.serving.batcher`` is the batch after which it no longer does.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import median
from time import perf_counter

import cv2

from benchmarks.photos import held_out_photos
from benchmarks.report import machine, print_table, write
from interplay.media.images import decode
from interplay.predictors.text_detection.segmenter import TextSegmenter, input_size
from interplay.settings import REPOSITORY_ROOT, available_cores
from interplay.store import resolve

PHOTO_SIZES = ((1280, 720), (640, 360), (320, 180))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--sizes", type=int, nargs="+", default=[1, 2, 4, 8], help="batch sizes")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    stored = resolve(REPOSITORY_ROOT / "model_store", "textfcn-compact")
    segmenter = TextSegmenter.load(stored, device=arguments.device, threads=available_cores())
    photos = [decode(content) for content in held_out_photos(max(arguments.sizes))]
    rows = []
    for size in PHOTO_SIZES:
        scaled = [cv2.resize(photo, size, interpolation=cv2.INTER_AREA) for photo in photos]
        height, width = input_size(size[1], size[0], segmenter.manifest.preprocessing)
        seconds: dict[int, list[float]] = {count: [] for count in arguments.sizes}
        for round_number in range(arguments.repeats + 1):  # the sizes in turn; the first round warms up
            for count in arguments.sizes:
                started = perf_counter()
                segmenter.predict_batch(scaled[:count])
                if round_number:
                    seconds[count].append((perf_counter() - started) / count)
        single = median(seconds[arguments.sizes[0]])
        rows += [
            {
                "photo": f"{size[0]}×{size[1]}",
                "batch": count,
                "input_pixels": f"{count * height * width:,}",
                "ms_a_photo": round(1000 * median(seconds[count]), 1),
                "times_single": round(single / median(seconds[count]), 2),
            }
            for count in arguments.sizes
        ]
    print(machine(), segmenter.device, segmenter.dtype)
    print_table("Heatmaps in batches", rows)
    write(arguments.out, {"device": segmenter.device, "dtype": segmenter.dtype, "batching": rows})


if __name__ == "__main__":
    main()
