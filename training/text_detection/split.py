"""The split of the 250 ICDAR 2015 photos at hand: 150 train, 20 dev, 80 held out.

    python -m training.text_detection.split --write

The rule: photos are ordered by the SHA-256 of their name ("img_N"); the first 150
train, the next 20 choose checkpoints and thresholds, the last 80 are only reported.
`icdar2015_split.txt` beside this file spells the outcome out and is what everything
reads; the command writes it again.
"""

import argparse
import hashlib
from pathlib import Path

from training.datasets.icdar import read_icdar2015
from training.datasets.sample import Sample
from training.text_detection.paths import data_dir

SPLIT_FILE = Path(__file__).with_name("icdar2015_split.txt")
SIZES = {"train": 150, "dev": 20, "held_out": 80}


def split_names(names: list[str]) -> dict[str, list[str]]:
    """Applies the rule to 250 names.

    Raises:
        ValueError: another number of names.
    """
    if len(names) != sum(SIZES.values()):
        raise ValueError(f"the split is of {sum(SIZES.values())} photos, not {len(names)}")
    ordered = sorted(names, key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    parts, start = {}, 0
    for part, size in SIZES.items():
        parts[part] = sorted(ordered[start : start + size], key=lambda name: int(name.split("_")[1]))
        start += size
    return parts


def read_split() -> dict[str, list[str]]:
    """The committed split: part to photo names."""
    parts: dict[str, list[str]] = {}
    for line in SPLIT_FILE.read_text().splitlines():
        if line and not line.startswith("#"):
            part, name = line.split()
            parts.setdefault(part, []).append(name)
    return parts


def load_part(part: str, data: Path | None = None) -> list[Sample]:
    """Reads the photos of one part ("train", "dev" or "held_out") with their words."""
    folder = (data or data_dir()) / "icdar2015"
    names = set(read_split()[part])
    return [
        sample for sample in read_icdar2015(folder / "images", folder / "gt") if sample.image.stem in names
    ]


def main() -> None:
    """Command line; see the module docstring."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=data_dir(), help="data folder (INTERPLAY_DATA_DIR)")
    parser.add_argument("--write", action="store_true", help="write icdar2015_split.txt")
    args = parser.parse_args()
    parts = split_names([path.stem for path in sorted((args.data / "icdar2015" / "images").glob("*.jpg"))])
    lines = ["# Made by `python -m training.text_detection.split --write`; the rule is in split.py."]
    lines += [f"{part} {name}" for part, names in parts.items() for name in names]
    if args.write:
        SPLIT_FILE.write_text("\n".join(lines) + "\n")
    print({part: len(names) for part, names in parts.items()})


if __name__ == "__main__":
    main()
