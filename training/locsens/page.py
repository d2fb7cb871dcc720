"""A page for figures: words, photos, markers and a small map of the world, in few colours."""

import io
import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import font_manager
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont, ImageOps

from interplay.types import Image

Colour = tuple[int, int, int]
Point = tuple[float, float]

WIDTH, MARGIN = 1400, 28
INNER = WIDTH - 2 * MARGIN
MOST_BYTES = 600_000
PAPER, INK, GREY, RULE = (255, 255, 255), (28, 32, 36), (105, 112, 120), (215, 220, 224)
SEA, LAND, GREEN, ORANGE = (232, 239, 245), (196, 205, 200), (0, 128, 88), (196, 86, 0)
# Okabe and Ito's colours, and two darker ones: told apart by colour-blind readers.
PLACES: tuple[Colour, ...] = (
    (0, 114, 178), (213, 94, 0), (0, 138, 103), (190, 90, 150),
    (60, 150, 210), (200, 135, 0), (110, 60, 150), (140, 40, 40),
)  # fmt: skip
NORTH, SOUTH = 74.0, -56.0
_FINE = 4  # words, lines and the map are drawn so many times as large and made smaller
_TALL = 6000


class Sheet:
    """A white page that is drawn from the top down and cut where the drawing ends."""

    def __init__(self) -> None:
        self.page = PillowImage.new("RGB", (WIDTH, _TALL), PAPER)
        self.pen = ImageDraw.Draw(self.page)

    def text(
        self, at: Point, text: str, size: int, *, bold: bool = False, fill: Colour = INK, width: float = INNER
    ) -> float:
        """A line, shortened to a width; `at` is its left end and the middle of its height.

        Returns:
            Where it ends.
        """
        if text_length(text, size, bold) > width:
            while text and text_length(text + "…", size, bold) > width:
                text = text[:-1].rstrip()
            text += "…"
        length = text_length(text, size, bold)
        # Drawn large and made smaller: letters stand where they should, not on whole pixels.
        left, top, high = int(at[0]), round(at[1] - size), 2 * size
        mask = PillowImage.new("L", (_FINE * (round(length) + size), _FINE * high), 0)
        start = (_FINE * (at[0] - left), _FINE * (at[1] - top))
        ImageDraw.Draw(mask).text(start, text, fill=255, font=_font(size * _FINE, bold), anchor="lm")
        small = mask.resize((mask.width // _FINE, high), PillowImage.Resampling.LANCZOS)
        self.page.paste(fill, (left, top), small)
        return at[0] + length

    def paragraph(self, at: Point, text: str, size: int, *, width: float, fill: Colour = GREY) -> float:
        """Lines of words, none wider than a width.

        Returns:
            Where the next line would be.
        """
        left, top = at
        line = ""
        for word in [*text.split(), ""]:
            longer = f"{line} {word}".strip()
            if word and text_length(longer, size, False) <= width:
                line = longer
                continue
            self.text((left, top), line, size, fill=fill, width=width)
            line, top = word, top + round(size * 1.42)
        return top

    def photo(self, box: tuple[float, float, float, float], photo: Image) -> None:
        """A photo, its middle cut to a box: left, top, width, height."""
        left, top, width, height = (round(value) for value in box)
        fitted = ImageOps.fit(
            PillowImage.fromarray(photo),
            (width, height),
            PillowImage.Resampling.LANCZOS,
            centering=(0.5, 0.35),  # faces are above the middle
        )
        self.page.paste(fitted, (left, top))

    def disc(self, at: Point, radius: float, fill: Colour, number: int | None = None) -> None:
        """A disc with a white rim, and a number on it."""
        side = round((radius + 2) * 2)
        left, top = round(at[0] - side / 2), round(at[1] - side / 2)
        for rim, colour in ((0, PAPER), (2 * _FINE, fill)):
            mask = PillowImage.new("L", (side * _FINE, side * _FINE), 0)
            end = side * _FINE - 1 - rim
            ImageDraw.Draw(mask).ellipse((rim, rim, end, end), fill=255)
            self.page.paste(colour, (left, top), mask.resize((side, side), PillowImage.Resampling.LANCZOS))
        if number is not None:
            text = str(number)
            start = left + (side - text_length(text, 12, True)) / 2
            self.text((start, top + side / 2), text, 12, bold=True, fill=PAPER)

    def tick(self, at: Point) -> float:
        """A green tick whose left end and middle are at a point; returns where it ends."""
        left, middle = at
        self.line([(left, middle), (left + 4, middle + 4), (left + 11, middle - 5)], GREEN, 2.6)
        return left + 16

    def ring(self, at: Point, radius: float, fill: Colour) -> None:
        """A circle that is not filled."""
        turns = np.linspace(0, 2 * np.pi, 49)
        circle = np.stack([at[0] + radius * np.cos(turns), at[1] + radius * np.sin(turns)], axis=1)
        self.line([(x, y) for x, y in circle.tolist()], fill, 2.4)

    def line(self, points: Sequence[Point], fill: Colour, width: float = 2) -> None:
        """A smooth line."""
        left, top = (round(min(point[axis] for point in points)) - 4 for axis in (0, 1))
        right, bottom = (round(max(point[axis] for point in points)) + 4 for axis in (0, 1))
        size = (right - left, bottom - top)
        mask = PillowImage.new("L", (size[0] * _FINE, size[1] * _FINE), 0)
        scaled = [((x - left) * _FINE, (y - top) * _FINE) for x, y in points]
        ImageDraw.Draw(mask).line(scaled, fill=255, width=round(width * _FINE), joint="curve")
        self.page.paste(fill, (left, top), mask.resize(size, PillowImage.Resampling.LANCZOS))

    def cut(self, bottom: float) -> PillowImage.Image:
        """The page down to a height."""
        return self.page.crop((0, 0, WIDTH, round(bottom)))


class Map:
    """The world on a sheet, plain degrees.

    Args:
        sheet: to draw on.
        at: left and top.
        width: of the map; the height follows.
    """

    def __init__(self, sheet: Sheet, at: Point, width: int) -> None:
        self.sheet, self.width = sheet, width
        self.left, self.top = at
        self.height = map_height(width)
        sheet.page.paste(_world(width), (round(self.left), round(self.top)))

    def point(self, place: Mapping[str, Any]) -> Point:
        """Where a place is on the sheet; places beyond the edges come to the edge."""
        latitude = min(max(place["latitude"], SOUTH), NORTH)
        x = self.left + (place["longitude"] + 180) / 360 * self.width
        return x, self.top + (NORTH - latitude) / (NORTH - SOUTH) * self.height

    def numbers(self, places: Sequence[Mapping[str, Any]]) -> None:
        """A numbered disc for each place, beside it and with a line to it where discs would overlap."""
        true = np.array([self.point(place) for place in places])
        shown = _apart(true, 23.0)
        shown[:, 0] = np.clip(shown[:, 0], self.left + 12, self.left + self.width - 12)
        for here, there in zip(true, shown, strict=True):
            if np.hypot(*(here - there)) > 3:
                self.sheet.line([tuple(here), tuple(there)], INK, 1.3)
                self.sheet.disc(tuple(here), 2.5, INK)
        for number, there in enumerate(shown, 1):
            self.sheet.disc(tuple(there), 10, PLACES[0], number)


def map_height(width: int) -> int:
    """Height of a map."""
    return round(width * (NORTH - SOUTH) / 360)


def save(sheet: PillowImage.Image, file: Path) -> None:
    """Writes a PNG of 256 colours or, should it be larger than `MOST_BYTES`, of fewer (32 or more)."""
    own = (PAPER, INK, GREY, RULE, SEA, LAND, GREEN, ORANGE, *PLACES)
    pixels = np.asarray(sheet)
    for colours in (256, 128, 64, 32):
        found = sheet.quantize(colours - len(own), PillowImage.Quantize.MEDIANCUT, kmeans=1).getpalette()
        palette = PillowImage.new("P", (1, 1))
        palette.putpalette([channel for colour in own for channel in colour] + (found or []))
        numbers = np.array(sheet.quantize(palette=palette, dither=PillowImage.Dither.FLOYDSTEINBERG))
        for number, colour in enumerate(own):  # words and markers keep theirs exactly
            numbers[(pixels == colour).all(axis=2)] = number
        few = PillowImage.fromarray(numbers)
        few.putpalette(palette.getpalette() or [])
        stream = io.BytesIO()
        few.save(stream, "PNG", optimize=True)
        if stream.tell() <= MOST_BYTES:
            break
    file.write_bytes(stream.getvalue())


def _apart(points: np.ndarray, least: float) -> np.ndarray:
    """Points pushed away from one another until none is nearer than `least` to the next."""
    points = points + np.random.default_rng(0).normal(scale=0.01, size=points.shape)  # equal ones part, too
    for _ in range(200):
        between = points[:, None] - points[None]
        far = np.hypot(*np.moveaxis(between, -1, 0))
        np.fill_diagonal(far, np.inf)
        push = np.maximum(0, least - far) / 2
        if not push.any():
            break
        points = points + (between / np.maximum(far, 1e-9)[..., None] * push[..., None]).sum(1)
    return points


def text_length(text: str, size: int, bold: bool) -> float:
    """Width of a line in pixels."""
    return _font(size * _FINE, bold).getlength(text) / _FINE


@lru_cache(maxsize=64)
def _font(size: int, bold: bool) -> ImageFont.FreeTypeFont:
    """Noto Sans where it is installed, else the DejaVu Sans that matplotlib brings."""
    try:
        return ImageFont.truetype(f"NotoSans-{'Bold' if bold else 'Regular'}.ttf", size)
    except OSError:
        named = font_manager.FontProperties(family="DejaVu Sans", weight="bold" if bold else "normal")
        return ImageFont.truetype(font_manager.findfont(named), size)


@lru_cache(maxsize=4)
def _world(width: int) -> PillowImage.Image:
    """Land and sea, as wide as is asked."""
    stored = json.loads(files("interplay.media").joinpath("land.json").read_text(encoding="utf-8"))
    height, scale = map_height(width), width * _FINE / 360
    world = PillowImage.new("RGB", (width * _FINE, height * _FINE), SEA)
    pen = ImageDraw.Draw(world)
    rings = [np.cumsum(np.reshape(ring, (-1, 2)), axis=0) / stored["steps"] for ring in stored["rings"]]
    # The largest comes first and is land; those that run the other way round are water.
    turns = [_turns(ring) for ring in rings]
    for ring, turn in zip(rings, turns, strict=True):
        points = np.stack([(ring[:, 0] + 180) * scale, (NORTH - ring[:, 1]) * scale], axis=1)
        pen.polygon([tuple(point) for point in points.tolist()], fill=LAND if turn == turns[0] else SEA)
    return world.resize((width, height), PillowImage.Resampling.LANCZOS)


def _turns(ring: np.ndarray) -> bool:
    """Whether a ring of points runs counter-clockwise."""
    x, y = ring.T
    return bool((x * np.roll(y, -1) - np.roll(x, -1) * y).sum() > 0)
