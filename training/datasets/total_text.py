"""Reader of Total-Text (Ch'ng & Chan 2017): words in polygons of any number of corners.

Ground truth is one text file an image, one word a line:
`x: [[206 251 386]], y: [[633 811 931]], ornt: [u'm'], transcriptions: [u'PETROSAINS']`;
`#` as transcription is "don't care". Long words break over several lines.
"""

import re
from pathlib import Path

import numpy as np

from training.datasets.sample import Sample, WordLabel

_WORD = re.compile(
    r"x:\s*\[\[(?P<x>[^\]]*)\]\],\s*y:\s*\[\[(?P<y>[^\]]*)\]\],\s*ornt:\s*\[[^\]]*\],\s*"
    r"transcriptions:\s*\[u?(?P<quote>['\"])(?P<text>.*?)(?P=quote)\]",
    re.DOTALL,
)
DONT_CARE = "#"


def parse_total_text(text: str) -> tuple[WordLabel, ...]:
    """Reads the words of one ground-truth file.

    Raises:
        ValueError: something in it is no word, or a word has fewer than three corners.
    """
    words, end = [], 0
    for match in _WORD.finditer(text):
        if text[end : match.start()].strip():
            raise ValueError(f"not a word: {text[end : match.start()].strip()[:80]!r}")
        end = match.end()
        x, y = (np.asarray(match[axis].split(), np.float32) for axis in "xy")
        if len(x) != len(y) or len(x) < 3:
            raise ValueError(f"{match['text']!r} has {len(x)} x and {len(y)} y coordinates")
        words.append(WordLabel(np.stack([x, y], 1), match["text"], match["text"] != DONT_CARE))
    if text[end:].strip():
        raise ValueError(f"not a word: {text[end:].strip()[:80]!r}")
    return tuple(words)


def read_total_text(images: Path, truth: Path) -> list[Sample]:
    """Pairs `imgN.jpg` with `poly_gt_imgN.txt` (or `gt_imgN.txt`), in the order of N.

    Raises:
        FileNotFoundError: a ground-truth file has no image.
        ValueError: a file has another form; the message names it.
    """
    samples = []
    for file in sorted(truth.glob("*gt_img*.txt"), key=lambda path: int(re.findall(r"\d+", path.stem)[-1])):
        stem = images / f"img{re.findall(r'[0-9]+', file.stem)[-1]}"
        image = next((p for ext in (".jpg", ".JPG", ".png") if (p := stem.with_suffix(ext)).is_file()), None)
        if image is None:
            raise FileNotFoundError(f"{file} has no image {stem}.jpg")
        try:
            samples.append(Sample(image, parse_total_text(file.read_text(encoding="utf-8-sig"))))
        except ValueError as error:
            raise ValueError(f"{file}: {error}") from error
    return samples
