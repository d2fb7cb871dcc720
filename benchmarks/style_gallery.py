"""Every style on some photos, as one picture to look at: rows are styles, columns photos.

    python -m benchmarks.style_gallery photo1.jpg photo2.jpg ... --out gallery.jpg

Only the text is restyled (two-stage, heatmap of TextFCN), or everything with ``--whole``. Without
photos: six held-out ICDAR 2015 photos with large words, cut out around them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont
from tqdm import tqdm

from interplay.media.images import decode, encode_jpeg
from interplay.predictors.style_transfer.masks import heat_mask
from interplay.predictors.style_transfer.stylist import Stylist
from interplay.predictors.text_detection.segmenter import TextSegmenter
from interplay.settings import REPOSITORY_ROOT, available_cores
from interplay.store import resolve
from interplay.types import Image
from training.text_detection.data import read_rgb
from training.text_detection.split import load_part

_LABEL = 150
_GAP = 4


def largest_words(count: int) -> list[Image]:
    """Cut-outs around the largest legible words of the held-out photos, one a photo."""
    found = []
    for sample in load_part("held_out"):
        for word in sample.words:
            if word.legible:
                low, high = word.polygon.min(0), word.polygon.max(0)
                found.append((float(np.prod(high - low)), sample.image, (low + high) / 2, high - low))
    chosen: dict[Path, tuple[np.ndarray, np.ndarray]] = {}
    for _, path, centre, extent in sorted(found, key=lambda row: -row[0]):
        chosen.setdefault(path, (centre, extent))
    cuts = []
    for path, (centre, extent) in list(chosen.items())[:count]:
        photo = read_rgb(path)
        half = np.maximum(0.75 * extent, (120, 80))
        low = np.maximum(np.floor(centre - half).astype(int), 0)
        high = np.ceil(centre + half).astype(int)
        cuts.append(photo[low[1] : high[1], low[0] : high[0]])
    return cuts


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", type=Path, nargs="*")
    parser.add_argument("--model", default="style-scene")
    parser.add_argument("--whole", action="store_true")
    parser.add_argument("--height", type=int, default=96, help="of a cell, in pixels")
    parser.add_argument("--model-store", type=Path, default=REPOSITORY_ROOT / "model_store")
    parser.add_argument("--out", type=Path, default=Path("gallery.jpg"))
    arguments = parser.parse_args()
    photos = [decode(path.read_bytes()) for path in arguments.photos] or largest_words(6)
    stored = resolve(arguments.model_store, arguments.model)
    stylist = Stylist.load(stored, device="cpu", threads=available_cores())
    segmenter = TextSegmenter.load(
        resolve(arguments.model_store, "textfcn-compact"), device="cpu", threads=available_cores()
    )
    floor = stored.manifest.thresholds["heat_floor"]
    masks = [
        None
        if arguments.whole
        else heat_mask(np.rint(255 * segmenter.predict([photo])[0].text).astype(np.uint8), floor)
        for photo in photos
    ]

    def cell(picture: Image) -> Image:
        width = round(picture.shape[1] * arguments.height / picture.shape[0])
        return np.asarray(
            cv2.resize(picture, (width, arguments.height), interpolation=cv2.INTER_AREA), np.uint8
        )

    rows = [("", [cell(photo) for photo in photos])]
    for name in tqdm(stylist.styles, desc="styles"):
        styled = [
            stylist.stylize(photo, {name: 1.0}, mask) for photo, mask in zip(photos, masks, strict=True)
        ]
        rows.append((name, [cell(picture) for picture in styled]))
    widths = [picture.shape[1] + _GAP for picture in rows[0][1]]
    size = (_LABEL + sum(widths), len(rows) * (arguments.height + _GAP))
    sheet = PillowImage.new("RGB", size, "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(14)
    for number, (name, pictures) in enumerate(rows):
        top = number * (arguments.height + _GAP)
        pen.text((4, top + arguments.height // 2 - 8), name, fill="black", font=font)
        for column, picture in enumerate(pictures):
            sheet.paste(PillowImage.fromarray(picture), (_LABEL + sum(widths[:column]), top))
    arguments.out.write_bytes(encode_jpeg(np.asarray(sheet), 88))
    print(f"{len(rows) - 1} styles on {len(photos)} photos -> {arguments.out}")


if __name__ == "__main__":
    main()
