"""Features of a set's photos by a frozen backbone, computed once.

    python -m training.embedding.features --part train --out FEATURES [--views 2] [--maps]

FEATURES/train.npy is (N, views, F) float16: the photo, and the photo mirrored. With --maps,
FEATURES/train.maps.npy is (N, views, C, H/16, W/16) float16: what the stages before those that
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
from interplay.predictors.embedding.image import fit
from interplay.store import Preprocessing
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


def compute_features(
    items: list[CaptionedImage],
    backbone: Lite0Features,
    out: Path,
    *,
    side: int = SIDE,
    views: int = 2,
    maps: bool = False,
) -> np.ndarray:
    """Features of every photo, from the file if it has them.

    Args:
        items: photos.
        backbone: EfficientNet-Lite0.
        out: `.npy` file; a `.json` beside it says how far it is and of what.
        side: of the input in pixels.
        views: 1, or 2 for the mirrored photo too.
        maps: keep the maps of the fifth stage, too, in `.maps.npy`.

    Returns:
        (N, views, F) float16, memory-mapped.

    Raises:
        ValueError: the file is of another set.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    facts = {"digest": set_digest(items), "side": side, "views": views, "maps": maps}
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
        done, head = 0, (len(items), views)
        files = [
            np.lib.format.open_memmap(file, "w+", np.float16, head + shape) for file, shape in shapes.items()
        ]
    cv2.setNumThreads(1)
    norm = Preprocessing()
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (norm.mean, norm.std))
    backbone = backbone.eval().to(memory_format=torch.channels_last)

    def read(start: int) -> np.ndarray:
        return np.stack([fit(decode(item.content()), side) for item in items[start : start + _BATCH]])

    progress = tqdm(total=len(items), initial=done, desc=out.stem, unit="photo", mininterval=5)
    with ThreadPoolExecutor(1) as pool, torch.inference_mode():
        upcoming = pool.submit(read, done)
        for start in range(done, len(items), _BATCH):
            pictures, count = upcoming.result(), min(_BATCH, len(items) - start)
            upcoming = pool.submit(read, start + _BATCH) if start + _BATCH < len(items) else upcoming
            x = (torch.from_numpy(pictures).permute(0, 3, 1, 2) / 255.0 - mean) / std
            for view in range(views):
                map_ = backbone.maps(x if view == 0 else x.flip(3))
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
    parser.add_argument("--views", type=int, choices=(1, 2), default=1, help="2 adds the mirrored photos")
    parser.add_argument("--side", type=int, default=SIDE, help=f"of the input in pixels; default {SIDE}")
    parser.add_argument("--maps", action="store_true", help="keep the maps for --tune-backbone")
    args = parser.parse_args()
    backbone = Lite0Features()
    load_lite0(backbone)
    features = compute_features(
        load_part(args.part), backbone, args.out / f"{args.part}.npy", side=args.side, views=args.views,
        maps=args.maps,
    )  # fmt: skip
    print(f"{args.out / args.part}.npy: {features.shape}")


if __name__ == "__main__":
    main()
