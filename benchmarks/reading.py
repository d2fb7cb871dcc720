"""Word recogniser: accuracy and time a word for sets of padded widths.

    python -m benchmarks.reading --words 500

Words: the ICDAR 2015 training crops (the recogniser never saw them in our training: it is not
trained here). A word counts as read when it equals the transcription without case.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from time import perf_counter

from benchmarks.report import machine, print_table, write
from interplay.media.images import decode
from interplay.predictors.text_detection import reader as reader_module
from interplay.predictors.text_detection.reader import WordReader, width_bucket
from interplay.settings import available_cores

WIDTH_SETS = (
    (320, 480, 640, 960, 1280),
    (160, 320, 480, 640, 960, 1280),
    (96, 160, 240, 320, 480, 640, 960, 1280),
)
BATCH = 32


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--words", type=int, default=500)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    folder = Path(os.environ.get("INTERPLAY_DATA_DIR", "../shared/data")) / "icdar2015_words"
    lines = (folder / "gt.txt").read_text(encoding="utf-8-sig").splitlines()[: arguments.words]
    pairs = [line.split(", ", 1) for line in lines]
    crops = [decode((folder / name).read_bytes()) for name, _ in pairs]
    truths = [text.strip().strip('"').lower() for _, text in pairs]
    word_reader = WordReader(threads=available_cores())
    rows = []
    for widths in WIDTH_SETS:
        reader_module.WIDTHS = widths
        order = sorted(range(len(crops)), key=lambda i: width_bucket(crops[i]))
        word_reader.predict_batch([crops[i] for i in order[:BATCH]])
        read: dict[int, str] = {}
        started = perf_counter()
        for start in range(0, len(order), BATCH):
            indices = order[start : start + BATCH]
            for index, (text, _) in zip(
                indices, word_reader.predict_batch([crops[i] for i in indices]).results, strict=True
            ):
                read[index] = text.strip().lower()
        seconds = perf_counter() - started
        right = sum(read[i] == truths[i] for i in range(len(crops)))
        rows.append(
            {
                "padded widths": " ".join(map(str, widths)),
                "read right": f"{right / len(crops):.3f}",
                "ms a word": round(seconds / len(crops) * 1000, 1),
            }
        )
    print(machine())
    print_table(f"{len(crops)} words in batches of {BATCH}", rows)
    write(arguments.out, {"reading": rows, "words": len(crops)})


if __name__ == "__main__":
    main()
