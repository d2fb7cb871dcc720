"""Photos without text, for backgrounds and as negative examples.

    python -m training.synth.photos --photos DIR --exclude held_out_ids.txt --out text_free.txt

Photo collections carry text nobody labelled; pasted words beside it would teach the
network to ignore real text. So a photo is kept only where PP-OCR's detector (from
rapidocr-onnxruntime, at a lowered threshold so that doubt drops the photo) finds
nothing. The list is cached: one file name a line, relative to its folder.
"""

import argparse
import random
from collections.abc import Iterable
from pathlib import Path

import cv2
from tqdm import tqdm


def list_photos(folder: Path, excluded: Iterable[str] = ()) -> list[str]:
    """Names of the JPEG files of `folder`, sorted, without the excluded ones."""
    banned = set(excluded)
    return sorted(path.name for path in folder.glob("*.jpg") if path.name not in banned)


def find_text_free(folder: Path, names: list[str], wanted: int, seed: int = 0) -> list[str]:
    """Draws photos at random and keeps those in which PP-OCR finds no text.

    Args:
        folder: where the photos are.
        names: candidates, file names in `folder`.
        wanted: how many to return at most.
        seed: of the order in which candidates are looked at.

    Returns:
        File names, sorted.
    """
    from rapidocr_onnxruntime import RapidOCR  # heavy, and only needed here

    detector = RapidOCR(det_box_thresh=0.3, det_limit_side_len=352, intra_op_num_threads=1).text_det
    order = list(names)
    random.Random(seed).shuffle(order)
    kept: list[str] = []
    with tqdm(total=wanted, desc="text-free photos") as progress:
        for name in order:
            if len(kept) >= wanted:
                break
            photo = cv2.imread(str(folder / name))
            if photo is None or min(photo.shape[:2]) < 160:
                continue
            boxes, _ = detector(photo)
            if boxes is None or len(boxes) == 0:
                kept.append(name)
                progress.update()
    return sorted(kept)


def main() -> None:
    """Command line; see the module docstring."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=Path, required=True, help="folder of JPEG files")
    parser.add_argument("--exclude", type=Path, help="text file of names never to use")
    parser.add_argument("--wanted", type=int, default=3000, help="how many to find (default 3000)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True, help="list to write")
    args = parser.parse_args()
    excluded = args.exclude.read_text().split() if args.exclude else []
    names = find_text_free(args.photos, list_photos(args.photos, excluded), args.wanted, args.seed)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text("".join(f"{name}\n" for name in names))
    print(f"{len(names)} photos without text -> {args.out}")


if __name__ == "__main__":
    main()
