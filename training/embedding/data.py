"""Photos and captions of the embedding's training, and the parts they are split into.

Training photos are the 40,000 COCO photos that `INTERPLAY_EXTRA_PHOTOS` names (photos, `train.csv` and
`test.csv` in one folder). Never trained on:

    held_out   the photos of `coco_captions/captions.jsonl`, which everybody has who has the data folder
    reserve    the photos of `coco_captions/held_out_ids.txt`
    dev        2,000 of the others by a digest of their names: losses and widths are chosen there

The captions of the first two are in no text corpus either.

To see how models do on photos of another source, the Flickr8k photos in the folder that
`INTERPLAY_FLICKR_PHOTOS` names are parted by a digest of their names: `flickr_test` are three in ten of them,
`flickr_train` the others.
"""

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from training.datasets.captions import CaptionedImage, read_csv, read_jsonl
from training.text_detection.paths import data_dir

DEV_PHOTOS = 2000
PARTS = ("train", "dev", "held_out", "reserve", "flickr_train", "flickr_test")
SOURCES = ("coco", "flickr8k", "flickr_train")


def load_part(part: str, data: Path | None = None, extra: Path | None = None) -> list[CaptionedImage]:
    """Photos of one part, in a fixed order.

    Args:
        part: one of `PARTS`.
        data: data folder; `INTERPLAY_DATA_DIR` by default.
        extra: folder of the 40,000 photos; `INTERPLAY_EXTRA_PHOTOS` by default. Not needed for "held_out".

    Raises:
        ValueError: no such part.
        FileNotFoundError: the photos are not there; the message says what to set.
    """
    if part not in PARTS:
        raise ValueError(f"part must be one of {', '.join(PARTS)}, not {part!r}")
    folder = (data or data_dir()) / "coco_captions"
    if part.startswith("flickr"):
        named = os.environ.get("INTERPLAY_FLICKR_PHOTOS")
        if not named:
            raise FileNotFoundError("set INTERPLAY_FLICKR_PHOTOS to the folder of the Flickr8k photos")
        test = part == "flickr_test"
        there = set(os.listdir(named))
        items = _flickr_captions(data, Path(named))
        return [item for item in items if item.id in there and _is_flickr_test(item) == test]
    held_out = list(read_jsonl(folder / "captions.jsonl", folder / "images"))
    if part == "held_out":
        return held_out
    reserved = set((folder / "held_out_ids.txt").read_text().split())
    every = _extra_photos(extra)
    if part == "reserve":
        return [item for item in every if item.id in reserved]
    never = reserved | {item.id for item in held_out}
    kept = [item for item in every if item.id not in never]
    kept.sort(key=lambda item: hashlib.sha256(item.id.encode()).digest())
    return kept[:DEV_PHOTOS] if part == "dev" else kept[DEV_PHOTOS:]


def load_captions(
    data: Path | None = None, extra: Path | None = None, *, sources: Iterable[str] = ("coco", "flickr8k")
) -> list[str]:
    """Captions for text models, without those of the held-out, reserve and dev photos.

    Args:
        data: data folder.
        extra: folder of the 40,000 photos.
        sources: of `SOURCES`; "flickr_train" is Flickr8k without the captions of `flickr_test`.
    """
    captions = []
    for source in sources:
        if source == "coco":
            captions += [text for item in load_part("train", data, extra) for text in item.captions]
        elif source in SOURCES:
            items = _flickr_captions(data, Path("."))
            kept = [item for item in items if source == "flickr8k" or not _is_flickr_test(item)]
            captions += [text for item in kept for text in item.captions]
        else:
            raise ValueError(f"source must be one of {', '.join(SOURCES)}, not {source!r}")
    return captions


def _flickr_captions(data: Path | None, photos: Path) -> list[CaptionedImage]:
    return list(read_csv((data or data_dir()) / "captions" / "flickr8k_captions.csv", photos))


def _is_flickr_test(item: CaptionedImage) -> bool:
    return hashlib.sha256(item.id.encode()).digest()[0] < 0.3 * 256


def _extra_photos(extra: Path | None) -> list[CaptionedImage]:
    named = extra or os.environ.get("INTERPLAY_EXTRA_PHOTOS")
    if not named:
        raise FileNotFoundError("set INTERPLAY_EXTRA_PHOTOS to the folder of the COCO photos and train.csv")
    folder = Path(named)
    items: list[CaptionedImage] = []
    for name in ("train.csv", "test.csv"):
        if not (folder / name).is_file():
            raise FileNotFoundError(f"{folder} has no {name}")
        items += read_csv(folder / name, folder, image="ImageID", caption="Caption", escape="/")
    return items
