"""Pictures for people: regions with labels on a photo, sheets of thumbnails, words on plates."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

from interplay.types import Image

# Okabe and Ito's palette without black and yellow: told apart by colour-blind readers, seen on most photos.
_COLOURS = ((0, 114, 178), (213, 94, 0), (0, 158, 115), (204, 121, 167), (86, 180, 233), (230, 159, 0))
# Tried in this order, so that words of any script are readable where such a font is installed.
_FONTS = ("NotoSansCJK-Regular.ttc", "NotoSans-Regular.ttf", "DejaVuSans.ttf")
_FILL_ALPHA = 48
_INFLUENCE_ALPHA = 0.75
_MAX_LABEL_CHARACTERS = 40

Point = tuple[float, float]


@lru_cache(maxsize=16)
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    for name in _FONTS:
        try:
            return ImageFont.truetype(name, size)
        except OSError:
            continue
    return ImageFont.load_default(size)


def draw_regions(image: Image, polygons: Sequence[Sequence[Point]], labels: Sequence[str] = ()) -> Image:
    """Draw polygons, lightly filled, each with its label above it.

    Neighbours differ in colour. A label that would leave the picture is moved inside; an empty one
    is left out. Line width and letters grow with the picture.

    Args:
        image: (H, W, 3) uint8, RGB; not changed.
        polygons: Corners in pixels; those with fewer than three are left out.
        labels: One for each polygon, or none at all.

    Returns:
        (H, W, 3) uint8, RGB.

    Raises:
        ValueError: Labels are given, but not one for each polygon.
    """
    if labels and len(labels) != len(polygons):
        raise ValueError(f"{len(labels)} labels for {len(polygons)} polygons")
    photo = PillowImage.fromarray(image)
    shorter = min(photo.size)
    line = max(1, round(shorter / 240))
    painter = ImageDraw.Draw(photo, "RGBA")  # blends, instead of replacing, what lies under it
    drawn = [
        (index, [tuple(map(float, point)) for point in p]) for index, p in enumerate(polygons) if len(p) >= 3
    ]
    for index, corners in drawn:
        painter.polygon(corners, fill=(*_colour(index), _FILL_ALPHA))
    for index, corners in drawn:
        painter.line(
            [*corners, corners[0], corners[1]], fill=(*_colour(index), 255), width=line, joint="curve"
        )
    if labels:
        font = _font(max(9, min(28, round(shorter / 45))))
        for index, corners in drawn:  # above all outlines, so that none crosses a label
            if text := _shortened(labels[index]):
                _draw_label(painter, photo.size, corners, text, font, _colour(index))
    return np.asarray(photo)


def contact_sheet(
    images: Sequence[Image], captions: Sequence[str], columns: int = 6, *, cell: int = 200
) -> Image:
    """Thumbnails in rows, each with a caption of one line under it.

    Args:
        images: (H, W, 3) uint8, RGB, of any sizes; shown whole.
        captions: One for each image.
        columns: Thumbnails in a row.
        cell: Width and height of a thumbnail's place, in pixels.

    Returns:
        (H, W, 3) uint8, RGB.

    Raises:
        ValueError: No images, no columns, or not one caption for each image.
    """
    if not images or columns < 1 or len(images) != len(captions):
        raise ValueError(f"{len(images)} images, {len(captions)} captions, {columns} columns")
    gap, text_height = 8, 18
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    size = (columns * (cell + gap) + gap, rows * (cell + text_height + gap) + gap)
    sheet = PillowImage.new("RGB", size, (250, 250, 250))
    painter = ImageDraw.Draw(sheet)
    font = _font(12)
    for index, (image, caption) in enumerate(zip(images, captions, strict=True)):
        row, column = divmod(index, columns)
        left, top = gap + column * (cell + gap), gap + row * (cell + text_height + gap)
        thumbnail = PillowImage.fromarray(image)
        thumbnail.thumbnail((cell, cell), PillowImage.Resampling.LANCZOS, reducing_gap=2.0)
        offset = ((cell - thumbnail.width) // 2, (cell - thumbnail.height) // 2)
        painter.rectangle((left, top, left + cell - 1, top + cell - 1), fill=(235, 235, 235))
        sheet.paste(thumbnail, (left + offset[0], top + offset[1]))
        text = _one_line(caption)
        while len(text) > 1 and painter.textlength(text, font) > cell:
            text = text[:-2].rstrip("…") + "…"
        painter.text((left, top + cell + 2), text, fill=(40, 40, 40), font=font)
    return np.asarray(sheet)


def unit_sheet(
    rows: Sequence[tuple[str, Sequence[tuple[Image, NDArray[np.bool_]]]]], *, cell: int = 180
) -> Image:
    """Rows of photos, under each the same photo with all but a region dimmed.

    Args:
        rows: Title, and the photos with their regions: (H, W, 3) uint8 RGB and (H, W) bool.
        cell: Side of a photo on the sheet, in pixels; photos are stretched to it, as the network sees them.

    Returns:
        (H, W, 3) uint8, RGB.

    Raises:
        ValueError: No rows.
    """
    if not rows:
        raise ValueError("no rows")
    gap, title_height = 6, 22
    columns = max(1, *(len(tiles) for _, tiles in rows))
    row_height = title_height + 2 * (cell + 2) + 2 * gap
    sheet = PillowImage.new("RGB", (columns * (cell + gap) + gap, len(rows) * row_height), (255, 255, 255))
    painter = ImageDraw.Draw(sheet)
    for row, (title, tiles) in enumerate(rows):
        top = row * row_height
        painter.text((gap, top + 4), _one_line(title), fill=(20, 20, 20), font=_font(14))
        for column, (photo, region) in enumerate(tiles):
            left = gap + column * (cell + gap)
            small = PillowImage.fromarray(photo).resize((cell, cell), PillowImage.Resampling.LANCZOS)
            mask = PillowImage.fromarray(region).convert("L").resize((cell, cell))
            dimmed = small.convert("L").point(lambda value: value // 5).convert("RGB")
            dimmed.paste(small, mask=mask)
            sheet.paste(small, (left, top + title_height))
            sheet.paste(dimmed, (left, top + title_height + cell + 2))
    return np.asarray(sheet)


def word_plate(word: str, side: int) -> Image:
    """A small picture of a word: dark letters on a yellow plate with a rim.

    Args:
        word: One line of text.
        side: Of the pictures it is shown among, in pixels: the letters are about a third as high.

    Returns:
        (H, W, 3) uint8, RGB, as wide as the word needs.
    """
    text = _shortened(word)
    font = _font(max(10, round(side * 0.36)))
    left, top, right, bottom = map(round, font.getbbox(text))
    padding = max(3, round(side * 0.08))
    size = (right - left + 2 * padding, bottom - top + 2 * padding)
    plate = PillowImage.new("RGB", size, (255, 225, 60))
    painter = ImageDraw.Draw(plate)
    painter.rectangle((0, 0, size[0] - 1, size[1] - 1), outline=(0, 0, 0), width=max(1, round(side / 40)))
    painter.text((padding - left, padding - top), text, fill=(0, 0, 0), font=font)
    return np.asarray(plate)


def draw_influence(image: Image, weights: NDArray[np.float32], longest_px: int) -> Image:
    """A photo in grey with a grid of weights laid over it: orange for positive ones, blue for negative ones.

    The tint is the stronger the larger a weight is beside the largest of the grid; of a grid of zeros there
    is none.

    Args:
        image: (H, W, 3) uint8, RGB; not changed.
        weights: (h, w) float32, a grid over the whole photo.
        longest_px: A photo with a longer side is shrunk to it.

    Returns:
        (H', W', 3) uint8, RGB.
    """
    photo = PillowImage.fromarray(image)
    photo.thumbnail((longest_px, longest_px), PillowImage.Resampling.LANCZOS, reducing_gap=2.0)
    grid = PillowImage.fromarray(np.asarray(weights, np.float32))
    smooth = np.asarray(grid.resize(photo.size, PillowImage.Resampling.BILINEAR))
    strength = np.abs(smooth) / max(float(np.abs(weights).max()), 1e-9)
    alpha = (_INFLUENCE_ALPHA * np.clip(strength, 0.0, 1.0))[..., None]
    tint = np.where(smooth[..., None] > 0, _COLOURS[1], _COLOURS[0]).astype(np.float32)
    grey = np.asarray(photo.convert("L"), np.float32)[..., None]
    return np.rint(grey * (1 - alpha) + tint * alpha).astype(np.uint8)


def _colour(index: int) -> tuple[int, int, int]:
    return _COLOURS[index % len(_COLOURS)]


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _shortened(label: str) -> str:
    text = _one_line(label)
    return text if len(text) <= _MAX_LABEL_CHARACTERS else text[: _MAX_LABEL_CHARACTERS - 1] + "…"


def _draw_label(
    painter: ImageDraw.ImageDraw,
    size: tuple[int, int],
    corners: Sequence[tuple[float, ...]],
    text: str,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    colour: tuple[int, int, int],
) -> None:
    """White letters on a plate of the region's colour, just above its highest corner."""
    left, top, right, bottom = painter.textbbox((0, 0), text, font=font)
    padding = 3
    width, height = right - left + 2 * padding, bottom - top + 2 * padding
    x = min(max(0.0, min(corner[0] for corner in corners)), max(0, size[0] - width))
    above = min(corner[1] for corner in corners) - height - 1
    y = min(above if above >= 0 else max(corner[1] for corner in corners) + 1, size[1] - height)
    y = max(0.0, y)
    painter.rectangle((x, y, x + width, y + height), fill=(*colour, 235))
    painter.text((x + padding - left, y + padding - top), text, fill=(255, 255, 255, 255), font=font)
