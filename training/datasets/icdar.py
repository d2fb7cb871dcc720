"""Readers of ICDAR 2013 (Challenge 2) and ICDAR 2015 (Challenge 4), Robust Reading.

Formats: `gt_img_N.txt` of 2015 has eight integers and the transcription, separated by
commas, after a byte-order mark; `###` is "don't care". `gt_N.txt` of 2013 has left,
top, right, bottom and a quoted transcription, separated by commas or spaces.
"""

import re
from pathlib import Path

import numpy as np

from training.datasets.sample import Sample, WordLabel

DONT_CARE = "###"


def parse_icdar2015(text: str) -> tuple[WordLabel, ...]:
    """Reads the words of one ICDAR 2015 file.

    Raises:
        ValueError: a line has fewer than nine fields or a coordinate is no number.
    """
    words = []
    for number, line in enumerate(text.lstrip("\ufeff").splitlines(), 1):
        if not line.strip():
            continue
        fields = line.split(",", 8)
        if len(fields) != 9:
            raise ValueError(f"line {number}: expected 8 coordinates and a transcription, got {line!r}")
        polygon = np.asarray([float(value) for value in fields[:8]], np.float32).reshape(4, 2)
        transcription = fields[8].strip()
        words.append(WordLabel(polygon, transcription, transcription != DONT_CARE))
    return tuple(words)


_ICDAR2013_LINE = re.compile(r'^\s*(-?\d+)[,\s]+(-?\d+)[,\s]+(-?\d+)[,\s]+(-?\d+)[,\s]+"(.*)"\s*$')


def parse_icdar2013(text: str) -> tuple[WordLabel, ...]:
    """Reads the words of one ICDAR 2013 file.

    Raises:
        ValueError: a line has another form.
    """
    words = []
    for number, line in enumerate(text.lstrip("\ufeff").splitlines(), 1):
        if not line.strip():
            continue
        match = _ICDAR2013_LINE.match(line)
        if match is None:
            raise ValueError(
                f'line {number}: expected left, top, right, bottom, "transcription", got {line!r}'
            )
        left, top, right, bottom = (float(value) for value in match.groups()[:4])
        polygon = np.asarray([[left, top], [right, top], [right, bottom], [left, bottom]], np.float32)
        transcription = re.sub(r'\\(["\\])', r"\1", match.group(5))
        words.append(WordLabel(polygon, transcription, transcription != DONT_CARE))
    return tuple(words)


def read_icdar2015(images: Path, truth: Path) -> list[Sample]:
    """Pairs `img_N.jpg` (or .png) with `gt_img_N.txt`, in the order of N.

    So are the variants of an augmented set: `img_N_sM.jpg` with `gt_img_N_sM.txt`.
    """
    return _read(images, truth, "gt_img_*.txt", parse_icdar2015)


def read_icdar2013(images: Path, truth: Path) -> list[Sample]:
    """Pairs `img_N.jpg` or `N.jpg` (or .png) with `gt_img_N.txt` or `gt_N.txt`, in the order of N."""
    found = _read(images, truth, "gt_img_*.txt", parse_icdar2013)
    return found or _read(images, truth, "gt_*.txt", parse_icdar2013)


def _read(images: Path, truth: Path, pattern: str, parse) -> list[Sample]:
    samples = []
    for file in sorted(truth.glob(pattern), key=lambda path: [int(n) for n in re.findall(r"\d+", path.stem)]):
        stem = images / file.stem.removeprefix("gt_")
        image = next((path for ext in (".jpg", ".png") if (path := stem.with_suffix(ext)).is_file()), None)
        if image is None:
            raise FileNotFoundError(f"{file} has no image {stem}.jpg or .png")
        try:
            samples.append(Sample(image, parse(file.read_text(encoding="utf-8-sig"))))
        except ValueError as error:
            raise ValueError(f"{file}: {error}") from error
    return samples
