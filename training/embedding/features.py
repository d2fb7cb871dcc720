"""Features of a set's photos by a frozen backbone, computed once.

    python -m training.embedding.features --part train --out FEATURES [--crops 2] [--maps]

FEATURES/train.npy is (N, 1 + crops, F) float16: the photo, then parts of it, cut out at random. With --maps,
FEATURES/train.maps.npy is (N, 1 + crops, C, H/16, W/16) float16: what the stages before those that
`training.embedding.train --tune-backbone` trains say. Called again, it goes on where it was.
"""

import argparse
import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import torch
from tqdm import tqdm

from interplay.media.images import decode
from interplay.models.image_embedding import LITE0_FEATURES, LITE0_MAP_CHANNELS, Lite0Features
from interplay.predictors.pictures import fit
from interplay.store import Preprocessing
from interplay.types import Image
from training.datasets.captions import CaptionedImage
from training.embedding.data import PARTS, load_part
from training.imagenet import load_lite0

SIDE = 224
_BATCH = 32


def set_digest(items: list[CaptionedImage]) -> str:
    """Digest of the names and captions of a set, in order."""
    digest = hashlib.sha256()
    for item in items:
        digest.update("\0".join((item.id, *item.captions, "\n")).encode())
    return digest.hexdigest()


def random_crop(photo: Image, rng: np.random.Generator) -> Image:
    """A part of 40 to 100 % of a photo's area, its sides at 3:4 to 4:3 of the photo's own."""
    area, aspect = rng.uniform(0.4, 1), np.exp(rng.uniform(-1, 1) * np.log(4 / 3))
    height, width = (
        max(1, round(side * min(1, np.sqrt(area * ratio))))
        for side, ratio in zip(photo.shape[:2], (aspect, 1 / aspect), strict=True)
    )
    top = rng.integers(photo.shape[0] - height + 1)
    left = rng.integers(photo.shape[1] - width + 1)
    return photo[top : top + height, left : left + width]


def compute_features(
    items: list[CaptionedImage],
    backbone: Lite0Features,
    out: Path,
    *,
    side: int = SIDE,
    crops: int = 0,
    maps: bool = False,
) -> np.ndarray:
    """Features of every photo, from the file if it has them.

    Args:
        items: photos.
        backbone: EfficientNet-Lite0.
        out: `.npy` file; a `.json` beside it says how far it is and of what.
        side: of the input in pixels.
        crops: parts of each photo besides all of it; see `random_crop`.
        maps: keep the maps of the fifth stage, too, in `.maps.npy`.

    Returns:
        (N, 1 + crops, F) float16, memory-mapped.

    Raises:
        ValueError: the file is of another set.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    facts = {"digest": set_digest(items), "side": side, "crops": crops, "maps": maps}
    state = out.with_suffix(".json")
    shapes = {out: (LITE0_FEATURES,)}
    if maps:
        shapes[out.with_suffix(".maps.npy")] = (LITE0_MAP_CHANNELS, -(-side // 16), -(-side // 16))
    if state.is_file():
        known = json.loads(state.read_text())
        if {key: known[key] for key in facts} != facts:
            raise ValueError(f"{out} has features of another set or size: {known}, not {facts}")
        done, files = known["done"], [np.lib.format.open_memmap(file, "r+") for file in shapes]
    else:
        done, head = 0, (len(items), 1 + crops)
        files = [
            np.lib.format.open_memmap(file, "w+", np.float16, head + shape) for file, shape in shapes.items()
        ]
    cv2.setNumThreads(1)
    norm = Preprocessing()
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (norm.mean, norm.std))
    backbone = backbone.eval().to(memory_format=torch.channels_last)

    def read(start: int) -> np.ndarray:
        """(B, 1 + crops, side, side, 3) uint8."""
        pictures = []
        for number in range(start, min(start + _BATCH, len(items))):
            photo, rng = decode(items[number].content()), np.random.default_rng((1, number))
            parts = [photo, *(random_crop(photo, rng) for _ in range(crops))]
            pictures.append(np.stack([fit(part, side) for part in parts]))
        return np.stack(pictures)

    progress = tqdm(total=len(items), initial=done, desc=out.stem, unit="photo", mininterval=5)
    with ThreadPoolExecutor(1) as pool, torch.inference_mode():
        upcoming = pool.submit(read, done)
        for start in range(done, len(items), _BATCH):
            pictures, count = upcoming.result(), min(_BATCH, len(items) - start)
            upcoming = pool.submit(read, start + _BATCH) if start + _BATCH < len(items) else upcoming
            for view in range(1 + crops):
                x = (torch.from_numpy(pictures[:, view]).permute(0, 3, 1, 2) / 255.0 - mean) / std
                map_ = backbone.maps(x)
                for file, y in zip(files, (backbone.pooled(map_), map_), strict=False):
                    file[start : start + count, view] = y.numpy()
            progress.update(count)
            if start // _BATCH % 20 == 0 or start + count == len(items):
                for file in files:
                    file.flush()
                state.write_text(json.dumps({**facts, "done": start + count}))
    progress.close()
    return files[0]


def main() -> None:
    """Command line; see the module docstring."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--part", choices=PARTS, required=True)
    parser.add_argument("--out", type=Path, required=True, help="folder of the features")
    parser.add_argument("--crops", type=int, default=0, help="parts of each photo besides all of it")
    parser.add_argument("--side", type=int, default=SIDE, help=f"of the input in pixels; default {SIDE}")
    parser.add_argument("--maps", action="store_true", help="keep the maps for --tune-backbone")
    args = parser.parse_args()
    backbone = Lite0Features()
    load_lite0(backbone)
    features = compute_features(
        load_part(args.part), backbone, args.out / f"{args.part}.npy", side=args.side, crops=args.crops,
        maps=args.maps,
    )  # fmt: skip
    print(f"{args.out / args.part}.npy: {features.shape}")


if __name__ == "__main__":
    main()
