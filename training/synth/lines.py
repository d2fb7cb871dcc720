"""Lines of synthetic text: an ink mask and one polygon a word.

Words are drawn one by one, so that each word's tight outline is known, with the
spacing of real signs. Every function takes the random generator and is
deterministic in it. Used by `training.synth.scene`.
"""

import random
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from training.synth.fonts import SCRIPTS

_FONTLESS = "latin"  # what Pillow's built-in font can write
_UNSPACED = ("han", "kana", "thai")


@dataclass
class Line:
    """A drawn line of text.

    Attributes:
        ink: (H, W) uint8 coverage of the letters.
        polygons: one (K, 2) float32 outline a word, clockwise from its top left, in
            pixels of `ink`; K is 4, or more on curved lines.
        words: the transcriptions.
    """

    ink: np.ndarray
    polygons: list[np.ndarray]
    words: list[str]


class Vocabulary:
    """Draws words: of captions, numbers, prices, or random letters of a script."""

    def __init__(self, latin_words: list[str], scripts: list[str], latin_share: float = 0.7) -> None:
        """Keeps the choice.

        Args:
            latin_words: real words to draw from; may be empty.
            scripts: scripts that can be written.
            latin_share: part of the lines in Latin letters.
        """
        self._words = latin_words
        self._others = [name for name in scripts if name != "latin"]
        self._latin_share = latin_share

    def script(self, rng: random.Random) -> str:
        """Draws a script."""
        if not self._others or rng.random() < self._latin_share:
            return "latin"
        return rng.choice(self._others)

    def word(self, rng: random.Random, script: str, length: int | None = None) -> str:
        """Draws a word, of about `length` letters if given."""
        kind = rng.random()
        if kind < 0.12:
            return self._number(rng, length)
        if script == "latin" and self._words and kind < 0.75:
            word = rng.choice(self._words)
            for _ in range(8):
                if length is None or abs(len(word) - length) <= 1:
                    break
                word = rng.choice(self._words)
        else:
            ranges = SCRIPTS[script][0]
            count = length or rng.choice((1, 2, 2, 3, 4, 5, 6, 7, 8, 10))
            word = "".join(chr(rng.randint(*rng.choice(ranges))) for _ in range(count))
        style = rng.random()
        if style < 0.4:
            word = word.upper()
        elif style < 0.65:
            word = word.capitalize()
        if rng.random() < 0.06:
            word += rng.choice(".,:!?&-/")
        return word

    @staticmethod
    def _number(rng: random.Random, length: int | None) -> str:
        digits = "".join(rng.choice("0123456789") for _ in range(length or rng.randint(1, 5)))
        form = rng.random()
        if form < 0.15 and len(digits) > 2:
            return f"{digits[:-2]}.{digits[-2:]}"
        if form < 0.25:
            return rng.choice("$€£") + digits
        if form < 0.35:
            return digits + "%"
        return digits


def load_font(path: str | None, size: int) -> ImageFont.FreeTypeFont:
    """Opens a font at a size in pixels; None is Pillow's own."""
    return ImageFont.load_default(size) if path is None else ImageFont.truetype(path, size)


def draw_line(
    words: list[str], font: ImageFont.FreeTypeFont, spacing: float, tracking: float, stroke: int
) -> Line:
    """Draws words from left to right on one baseline.

    Args:
        words: what to write.
        font: opened font.
        spacing: gap between words in widths of the font's space.
        tracking: extra gap between letters in pixels; 0 keeps the font's own kerning.
        stroke: extra thickness of the letters in pixels.

    Returns:
        The line, on a canvas with a small margin; words without ink are left out.
    """
    gap = max(2.0, font.getlength(" ") * spacing)
    margin = font.size // 2 + stroke
    widths = [sum(font.getlength(c) + tracking for c in w) if tracking else font.getlength(w) for w in words]
    width = int(sum(widths) + gap * (len(words) - 1)) + 4 * margin
    height = int(font.size * 2.2) + 2 * margin
    baseline = int(font.size * 1.4) + margin
    ink = np.zeros((height, width), np.uint8)
    polygons, kept = [], []
    cursor = 2.0 * margin
    for word, advance in zip(words, widths, strict=True):
        layer = Image.new("L", (width, height))
        draw = ImageDraw.Draw(layer)
        if tracking:
            x = cursor
            for letter in word:
                draw.text((x, baseline), letter, 255, font, anchor="ls", stroke_width=stroke)
                x += font.getlength(letter) + tracking
        else:
            draw.text((cursor, baseline), word, 255, font, anchor="ls", stroke_width=stroke)
        box = layer.getbbox()
        cursor += advance + gap
        if box is None or box[2] - box[0] < 2 or box[3] - box[1] < 2:
            continue
        left, top, right, bottom = box
        ink[top:bottom, left:right] = np.maximum(
            ink[top:bottom, left:right], np.asarray(layer)[top:bottom, left:right]
        )
        polygons.append(np.float32([[left, top], [right, top], [right, bottom], [left, bottom]]))
        kept.append(word)
    return Line(ink, polygons, kept)


def draw_column(word: str, font: ImageFont.FreeTypeFont, stroke: int) -> Line:
    """Draws one word from top to bottom, letter under letter."""
    letters = [letter for letter in word if letter.strip()]
    boxes = [font.getbbox(letter, anchor="lt", stroke_width=stroke) for letter in letters]
    width = max((box[2] for box in boxes), default=1) + 8
    gap = max(1, font.size // 10)
    height = sum(box[3] + gap for box in boxes) + 8
    layer = Image.new("L", (int(width), int(height)))
    draw = ImageDraw.Draw(layer)
    y = 4.0
    for letter, box in zip(letters, boxes, strict=True):
        draw.text(((width - box[2]) / 2, y), letter, 255, font, anchor="lt", stroke_width=stroke)
        y += box[3] + gap
    box = layer.getbbox()
    if box is None:
        return Line(np.asarray(layer), [], [])
    left, top, right, bottom = box
    outline = np.float32([[left, top], [right, top], [right, bottom], [left, bottom]])
    return Line(np.asarray(layer), [outline], [word])


def bend(line: Line, rise: float) -> Line:
    """Bends a line into a parabola.

    Args:
        line: straight line.
        rise: how far its middle lies above its ends, in pixels; negative bends down.
    """
    height, width = line.ink.shape
    pad = int(abs(rise)) + 2
    columns = np.arange(width, dtype=np.float32)
    lift = (rise * (1 - (2 * columns / width - 1) ** 2)).astype(np.float32)
    map_x = np.repeat(columns[None], height + 2 * pad, 0)
    map_y = np.arange(height + 2 * pad, dtype=np.float32)[:, None] - pad + lift[None]
    ink = cv2.remap(line.ink, map_x, map_y, cv2.INTER_LINEAR, borderValue=0)
    polygons = []
    for polygon in line.polygons:
        (left, top), (right, bottom) = polygon[0], polygon[2]
        x = np.linspace(left, right, 5, dtype=np.float32)
        shift = pad - np.interp(x, columns, lift).astype(np.float32)
        upper, lower = np.stack([x, top + shift], 1), np.stack([x, bottom + shift], 1)
        polygons.append(np.concatenate([upper, lower[::-1]]).astype(np.float32))
    return Line(ink, polygons, line.words)


def random_line(
    rng: random.Random,
    fonts: dict[str, list[str]],
    vocabulary: Vocabulary,
    height_px: float,
    count: int,
    words: list[str] | None = None,
    style: tuple[str, str | None] | None = None,
) -> Line:
    """Draws a line in a random face, straight, bent or (rarely) vertical.

    Args:
        rng: source of chance.
        fonts: of `find_fonts`; may be empty.
        vocabulary: where words come from.
        height_px: size of the letters.
        count: words on the line.
        words: what to write instead of drawing words.
        style: (script, font path) to use instead of drawing one.
    """
    script, path = style or random_style(rng, fonts, vocabulary)
    font = load_font(path, max(8, int(height_px * 1.35)))
    if words is None:
        count = 1 if script in _UNSPACED else count
        words = [vocabulary.word(rng, script) for _ in range(count)]
    stroke = rng.choice((0, 0, 0, 1)) if height_px > 20 else 0
    if count == 1 and script in ("latin", "han", "hangul", "kana") and rng.random() < 0.04:
        return draw_column(words[0][:8], font, stroke)
    joined = script in ("arabic", "devanagari", "bengali", "tamil", "thai")
    tracking = 0.0 if joined or rng.random() < 0.8 else height_px * rng.uniform(0.02, 0.3)
    line = draw_line(words, font, rng.uniform(0.8, 1.7) + 2 * tracking / height_px, tracking, stroke)
    if rng.random() < 0.07 and line.ink.shape[1] > 3 * height_px:
        line = bend(line, rng.uniform(-0.15, 0.15) * line.ink.shape[1])
    return line


def random_style(
    rng: random.Random, fonts: dict[str, list[str]], vocabulary: Vocabulary
) -> tuple[str, str | None]:
    """Draws a script and a font that writes it."""
    if not fonts:
        return _FONTLESS, None
    script = vocabulary.script(rng)
    return script, rng.choice(fonts[script])
