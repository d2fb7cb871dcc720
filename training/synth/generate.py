"""Writes a pool of synthetic scenes for training.

    python -m training.synth.generate --photos DIR --text-free text_free.txt --count 4000 --out POOL

`POOL` then holds NNNNNN.jpg files and `scenes.jsonl` with one line a picture: its
file, word polygons and legibility. Picture N depends on the seed and N alone, so a
pool can be written by any number of processes. Read by
`training.text_detection.data`.
"""

import argparse
import csv
import json
import re
import zipfile
from functools import partial
from multiprocessing import Pool
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from training.synth.fonts import find_fonts
from training.synth.lines import Vocabulary
from training.synth.scene import Materials, WordCrop, make_scene
from training.text_detection.paths import data_dir, photos_dir

_SEED_STRIDE = 1_000_003  # keeps the pictures of different seeds apart
_materials: Materials | None = None


def load_materials(
    data: Path, photos: list[str], font_cache: Path | None = None, size: int = 704
) -> Materials:
    """Collects what is there; anything missing is simply not used.

    Args:
        data: the data folder (`icdar2015_words/`, `icdar2015/train_gt.zip`, `coco_captions/`).
        photos: paths of photos without text.
        font_cache: JSON file for the list of fonts.
        size: side of the pictures in pixels.
    """
    captions = data / "coco_captions" / "all_captions.txt"
    words = (
        sorted(set(re.findall(r"[a-z']{1,14}", captions.read_text().lower()))) if captions.is_file() else []
    )
    fonts = find_fonts(font_cache)
    return Materials(
        photos=photos,
        fonts=fonts,
        vocabulary=Vocabulary(words, sorted(fonts)),
        crops=_read_crops(data / "icdar2015_words"),
        layouts=_read_layouts(data / "icdar2015" / "train_gt.zip"),
        size=size,
    )


def _read_crops(folder: Path) -> list[WordCrop]:
    """Real word crops with their quads; specks under 8 px are left out."""
    coordinates = folder / "coords.txt"
    if not coordinates.is_file():
        return []
    crops = []
    with coordinates.open(encoding="utf-8-sig", newline="") as stream:
        for row in csv.reader(stream):
            image = cv2.imread(str(folder / row[0]))
            quad = np.float32(row[1:9]).reshape(4, 2)
            if image is not None and min(np.ptp(quad, axis=0)) >= 8:
                crops.append(WordCrop(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), quad))
    return crops


def _read_layouts(archive: Path) -> list[list[tuple[np.ndarray, bool]]]:
    """Word quads of the ICDAR 2015 training photos, whose pictures are not at hand."""
    if not archive.is_file():
        return []
    layouts = []
    with zipfile.ZipFile(archive) as files:
        for name in sorted(files.namelist()):
            if not name.endswith(".txt"):
                continue
            rows = [row.split(",", 8) for row in files.read(name).decode("utf-8-sig").splitlines()]
            layouts.append(
                [(np.float32(r[:8]).reshape(4, 2), r[8].strip() != "###") for r in rows if len(r) == 9]
            )
    return layouts


def _start_worker(materials: Materials) -> None:
    global _materials
    cv2.setNumThreads(1)
    _materials = materials


def _write_scene(number: int, out: Path, seed: int) -> dict:
    assert _materials is not None
    scene = make_scene(seed * _SEED_STRIDE + number, _materials)
    name = f"{number:06d}.jpg"
    cv2.imwrite(str(out / name), scene.image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])
    polygons = [np.round(polygon, 1).tolist() for polygon in scene.polygons]
    return {"image": name, "polygons": polygons, "legible": scene.legible}


def main() -> None:
    """Command line; see the module docstring."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=Path, default=photos_dir(), help="folder of background photos")
    parser.add_argument("--text-free", type=Path, help="list of usable photos, of training.synth.photos")
    parser.add_argument("--data", type=Path, default=data_dir(), help="data folder (INTERPLAY_DATA_DIR)")
    parser.add_argument("--count", type=int, default=4000, help="pictures to write (default 4000)")
    parser.add_argument("--size", type=int, default=704, help="side of a picture in pixels (default 704)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    args = parser.parse_args()
    names = args.text_free.read_text().split() if args.text_free else []
    photos = [str(args.photos / name) for name in names]
    args.out.mkdir(parents=True, exist_ok=True)
    materials = load_materials(args.data, photos, args.out / "fonts.json", args.size)
    write = partial(_write_scene, out=args.out, seed=args.seed)
    with (
        Pool(args.processes, _start_worker, (materials,)) as pool,
        (args.out / "scenes.jsonl").open("w") as index,
    ):
        for row in tqdm(pool.imap(write, range(args.count), chunksize=8), total=args.count, desc="scenes"):
            index.write(json.dumps(row) + "\n")
            index.flush()


if __name__ == "__main__":
    main()
